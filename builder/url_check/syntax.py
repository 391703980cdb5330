"""What the readers of Python share: its syntax tree, and texts in it."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator, Mapping, Sequence

from builder.url_check.texts import BASE, BEGINNING, HOLE, OF_THE_REQUEST, formatted

# Settings that hold the address of the webserver.
_BASE_SETTINGS = {"base_url", "endpoint_url"}
# Functions that give their first argument back, as far as an address is concerned.
_UNCHANGED = {"Markup", "str", "escape", "_", "gettext"}
_UNCHANGED_METHODS = {"rstrip", "strip", "lower"}
# Names are followed through so many assignments.
_DEPTH = 6

# A scope's names with what is assigned to them; nothing where only running it would tell.
Names = Mapping[str, Sequence[ast.expr]]


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes just below one, in the order of the source; quicker than `ast.iter_child_nodes`."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and name != "ctx":
            found.append(value)
    return found


def statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All statements of a module, whatever they are below."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, name, None)
            waiting += inner if isinstance(inner, list) else []


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, in no particular order."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += children(current)


def last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`, of `c` and of `a.c()`; nothing for what is no name."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Call(func=called):
            return last_name(called)
    return ""


def constant(node: ast.AST | None) -> str:
    """The text that a node is, or nothing."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def keyword_text(call: ast.Call, name: str) -> str:
    """The text that a call has for a keyword, or nothing."""
    return next((constant(keyword.value) for keyword in call.keywords if keyword.arg == name), "")


def assigned(body: Sequence[ast.stmt]) -> dict[str, list[ast.expr]]:
    """The names of one scope, with the values that plain assignments give them."""
    values: dict[str, list[ast.expr]] = {}
    otherwise: set[str] = set()
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, []).append(node.value)
            waiting.append(node.value)
        elif isinstance(node, ast.ImportFrom):
            renamed = (each.asname for each in node.names if each.name == "request" and each.asname)
            values |= {name: [ast.Name("request")] for name in renamed}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            otherwise.add(node.id)
        else:
            waiting += children(node)
    return {**values, **{name: [] for name in otherwise}}


def is_request(node: ast.expr, names: Names) -> bool:
    """Whether an expression is the request that is being answered, under this name or another."""
    if isinstance(node, ast.Name) and len(given := names.get(node.id, ())) == 1:
        return last_name(given[0]) == "request"
    return last_name(node) == "request"


def text_of(node: ast.expr, names: Names, depth: int = _DEPTH) -> str | None:
    """The text of an expression, with HOLE and BASE for what is computed; None if none of it is written."""
    if depth == 0:
        return None

    def part(inner: ast.expr) -> str:
        known = text_of(inner, names, depth - 1)
        return HOLE if known is None else known

    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(part(value) for value in values)
        case ast.FormattedValue(value=value):
            return part(value)
        case ast.BinOp(op=ast.Add()):
            joined = "".join(part(operand) for operand in _operands(node))
            return None if joined.strip(HOLE) == "" else joined
        case ast.BinOp(left=left, op=ast.Mod()):
            pattern = text_of(left, names, depth - 1)
            return None if pattern is None else formatted(pattern)
        case ast.Name(id=name):
            given = names.get(name, ())
            return text_of(given[0], names, depth - 1) if len(given) == 1 else None
        case ast.Attribute(value=of, attr=name) if name in BEGINNING | OF_THE_REQUEST:
            return BASE if is_request(of, names) else None
        case ast.Call():
            return _call_text(node, names, depth - 1)
    return None


def written_parts(node: ast.expr) -> Iterator[ast.expr]:
    """The nodes that a text is put together from; what a computed part is made of is not among them."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        match current:
            case ast.JoinedStr(values=values):
                waiting += values
            case ast.FormattedValue(value=value):
                waiting.append(value)
            case ast.BinOp(op=ast.Add()):
                waiting += [current.left, current.right]
            case ast.BinOp(op=ast.Mod()):
                waiting.append(current.left)
            case ast.Call(func=ast.Attribute(value=of, attr=name)) if name in _UNCHANGED_METHODS:
                waiting.append(of)
            case ast.Call(func=ast.Attribute(value=of, attr="format")):
                given = [*current.args, *(keyword.value for keyword in current.keywords)]
                waiting += [of, *(each for each in given if not isinstance(each, ast.Call))]
            case ast.Call() if last_name(current.func) in {*_UNCHANGED, "urljoin"}:
                waiting += current.args


def _operands(node: ast.expr) -> list[ast.expr]:
    """What a sum adds up, in order; it may be hundreds long."""
    found = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        found.append(node.right)
        node = node.left
    return [*found, node][::-1]


def _call_text(node: ast.Call, names: Names, depth: int) -> str | None:
    name = last_name(node.func)
    of = node.func.value if isinstance(node.func, ast.Attribute) else None
    if name == "get" and any(constant(given).lower() in _BASE_SETTINGS for given in node.args):
        return BASE
    if name in _UNCHANGED and node.args:
        return text_of(node.args[0], names, depth)
    if name == "urljoin" and len(node.args) == 2:
        base, path = (text_of(given, names, depth) for given in node.args)
        return None if path is None else (base or HOLE) + path
    if of is not None and name in _UNCHANGED_METHODS:
        return text_of(of, names, depth)
    if of is None or name != "format":
        return None
    pattern = text_of(of, names, depth)
    if pattern is None:
        return None
    given: dict[str, ast.expr] = {str(number): value for number, value in enumerate(node.args)}
    given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    return _format(pattern, {key: text_of(value, names, depth) or HOLE for key, value in given.items()})


def _format(pattern: str, values: dict[str, str]) -> str:
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError:
        return pattern
    made, number = "", 0
    for literal, name, _, _ in parts:
        made += literal
        if name is not None:
            made += values.get(name or str(number), HOLE)
            number += 1
    return made
