"""URLs that Python writes by hand, found in the syntax tree.

A text counts where it is an address for the browser (`redirect`, `MenuLink`, `Location`,
an attribute of HTML), where it is joined to the base URL, and anywhere else if it leads
to a route of the tree. Docstrings and declarations of routes do not count, nor does what
a process asks of other services.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from builder.url_check.declarations import DECLARED_BY, DECLARING, Declarations
from builder.url_check.html import looks_like_html, read_html
from builder.url_check.routes import Routes
from builder.url_check.syntax import (
    Names,
    assigned,
    children,
    constant,
    is_request,
    last_name,
    statements,
    text_of,
    walk,
    written_parts,
)
from builder.url_check.texts import OF_THE_REQUEST, Kind, Written, kind_of, shown

# Whose first argument is where a browser is sent.
_ADDRESSED = {"redirect", "RedirectResponse", "HttpResponseRedirect"}
# Keywords of these calls, and of every call whose name ends in Link, are addresses.
_ADDRESS_KEYWORDS = {"url", "href", "location"}
_FRAMEWORKS = {"flask", "flask_admin", "flask_login", "werkzeug", "starlette", "fastapi"}
_TEXT_PARTS = ast.Constant | ast.JoinedStr | ast.BinOp | ast.Call | ast.Name | ast.FormattedValue


def read_python(file: str, tree: ast.Module, routes: Routes, declarations: Declarations) -> list[Written]:
    """What is written by hand in one file."""
    reading = _Reading(file, routes, declarations, _is_web(tree))
    reading.read(tree)
    return sorted(set(reading.found))


def _is_web(tree: ast.Module) -> bool:
    """Whether a file imports a web framework: there `/admin/` is no folder."""
    for node in statements(tree.body):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        if any(name.split(".")[0] in _FRAMEWORKS for name in names):
            return True
    return False


@dataclass(slots=True)
class _Reading:
    file: str
    routes: Routes
    declarations: Declarations
    is_web: bool
    found: list[Written] = field(default_factory=list)
    # Nodes that declare something, or are parts of a text that was judged as a whole.
    settled: set[ast.AST] = field(default_factory=set)

    def add(self, node: ast.expr, text: str, kind: Kind, advice: str = "") -> None:
        self.found.append(Written(self.file, node.lineno, text, kind, advice))

    def read(self, module: ast.Module) -> None:
        """All nodes, from the outer ones to the inner; each function is a scope of its own."""
        waiting: list[tuple[ast.AST, Names]] = [(module, {})]
        while waiting:
            node, names = waiting.pop()
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    arguments = (each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg))
                    inner = {**names, **dict.fromkeys(arguments, ()), **assigned(node.body)}
                    waiting += [(part, names) for part in (*node.decorator_list, node.args)]
                    waiting += [(statement, inner) for statement in node.body]
                    continue
                case ast.Module() | ast.ClassDef():
                    names = {**names, **assigned(node.body)}
                case ast.Expr(value=ast.Constant()):
                    continue  # a docstring, or a comment in quotes
                case ast.Dict() if self._is_route_table(node):
                    continue
            self._node(node, names)
            waiting += [(child, names) for child in children(node)]

    def _node(self, node: ast.AST, names: Names) -> None:
        match node:
            case ast.Call():
                self._call(node)
            case ast.Attribute(attr=attribute, value=ast.Name() as of) if is_request(of, names):
                if attribute in OF_THE_REQUEST and self.is_web:
                    self.add(node, f"request.{attribute}", Kind.REQUEST)
        for address in _addresses(node):
            self._address(address, names)
        if isinstance(node, _TEXT_PARTS) and node not in self.settled:
            self._text(node, names)

    def _call(self, call: ast.Call) -> None:
        name = last_name(call.func)
        if name in DECLARING or self.declarations.is_view(name):
            declared = [*call.args, *(each.value for each in call.keywords if each.arg in DECLARED_BY)]
            for given in declared:
                self.settled.update(walk(given))
        endpoint = constant(call.args[0]) if name == "url_for" and call.args else ""
        if endpoint and endpoint[0] != "." and self.routes.lacks(endpoint):
            self.add(call, endpoint, Kind.ENDPOINT)

    def _is_route_table(self, node: ast.Dict) -> bool:
        """Whether these are endpoints with their rules, as code without an application needs them.

        Such a table is held against the routes.
        """
        pairs = [
            (key, constant(key), constant(value)) for key, value in zip(node.keys, node.values, strict=True)
        ]
        if not pairs or not all("." in name[1:] and rule[:1] == "/" for _, name, rule in pairs):
            return False
        for key, endpoint, rule in pairs:
            rules = self.routes.rules.get(endpoint, set())
            if rule not in rules:
                self.add(key or node, f"{endpoint}: {rule}", Kind.ENDPOINT, " or ".join(sorted(rules)))
        return True

    def _address(self, node: ast.expr, names: Names) -> None:
        """What is used as an address: a name stands for whatever is assigned to it."""
        match node:
            case ast.IfExp(body=body, orelse=orelse):
                branches = [body, orelse]
            case ast.BoolOp(values=values):
                branches = values
            case ast.Name(id=name) if len(names.get(name, ())) > 1:
                branches = list(names[name])
            case _:
                branches = [node]
        for branch in branches:
            text = text_of(branch, names)
            if text is not None:
                self.settled.update(written_parts(branch))
                self._judge(branch, text, (Kind.PATH, Kind.HOST))

    def _text(self, node: ast.expr, names: Names) -> None:
        """A text that may be anything."""
        if isinstance(node, ast.Name):
            return  # it is judged where its text is written
        whole = text_of(node, names)
        if whole is not None and kind_of(whole) is Kind.BELOW:
            self.settled.update(written_parts(node))
            self._judge(node, whole, ())
            return
        text = text_of(node, {})
        if text is not None:
            self.settled.update(written_parts(node))
            self._judge(node, text, ())

    def _judge(self, node: ast.expr, text: str, kinds: tuple[Kind, ...]) -> None:
        """Take a text for an address if it is of one of these kinds, and in any case if it leads somewhere."""
        if looks_like_html(text):
            self.found += read_html(
                text, self.file, lambda offset: node.lineno + text.count("\n", 0, offset), self.routes
            )
            return
        kind = self.routes.kind_of(text)
        if kind is not None and (kind in (Kind.BELOW, *kinds) or self._leads_to_a_route(text, kind)):
            self.add(node, shown(text), kind, self.routes.url_for(text))

    def _leads_to_a_route(self, text: str, kind: Kind) -> bool:
        """Whether a text that may as well be a file's path, or a sentence, is a URL."""
        if kind is Kind.HOST or any(space in text for space in " \n\t"):
            return False
        if kind is Kind.JOINED or self.routes.is_distinctive(text):
            return True
        return self.is_web and text.strip("/") != "" and self.routes.url_for(text) != ""


def _addresses(node: ast.AST) -> Iterator[ast.expr]:
    """What a node uses as an address."""
    if isinstance(node, ast.Call):
        name = last_name(node.func)
        if name in _ADDRESSED:
            yield from node.args[:1]
        if name.endswith("Link"):
            yield from node.args[1:2]
        if name in _ADDRESSED or name.endswith("Link"):
            yield from (keyword.value for keyword in node.keywords if keyword.arg in _ADDRESS_KEYWORDS)
        if len(node.args) > 1 and constant(node.args[0]).lower() == "location":
            yield node.args[1]
    elif isinstance(node, ast.Tuple):
        if len(node.elts) == 2 and constant(node.elts[0]).lower() == "location":
            yield node.elts[1]
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if constant(key).lower() in ("location", "href"):
                yield value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and target.attr == "location":
                yield node.value
            if isinstance(target, ast.Subscript) and constant(target.slice).lower() == "location":
                yield node.value
