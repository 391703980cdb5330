"""URLs that templates write by hand: Jinja's parser first, then what it leaves is read as HTML.

The text of all branches is read as one page, in the order of the source. An expression
is a HOLE in it, unless it begins with a text: `{{ '/admin/' ~ name }}` is read as written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from jinja2 import Environment, TemplateSyntaxError, nodes

from builder.url_check.html import read_html
from builder.url_check.routes import Routes
from builder.url_check.texts import (
    BASE,
    BEGINNING,
    HOLE,
    OF_THE_REQUEST,
    Kind,
    Written,
    formatted,
    kind_of,
    shown,
)

_JINJA = Environment(
    extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=True
)
_URL_MAKERS = ("url_for", "get_url")


@dataclass(slots=True)
class _Page:
    """The text of a template, with the template's line for each piece of it."""

    text: str = ""
    offsets: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, text: str, line: int) -> None:
        self.offsets.append(len(self.text))
        self.lines.append(line)
        self.text += text

    def line(self, offset: int) -> int:
        number = bisect_right(self.offsets, offset) - 1
        if number < 0:
            return 1
        return self.lines[number] + self.text.count("\n", self.offsets[number], offset)


def read_template(source: str, file: str, routes: Routes) -> list[Written]:
    """What is written by hand in one template."""
    try:
        tree = _JINJA.parse(source)
    except TemplateSyntaxError as error:
        return [Written(file, error.lineno, str(error.message), Kind.UNREADABLE)]
    page = _Page()
    _fill(tree, page)
    found = read_html(page.text, file, page.line, routes)
    for expression in _expressions(tree):
        found += _expression(expression, file, routes)
    return sorted(set(found))


def _fill(node: nodes.Node, page: _Page) -> None:
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.TemplateData):
            page.add(child.data, child.lineno)
        elif isinstance(child, nodes.Expr):
            if isinstance(node, nodes.Output):
                page.add(_text(child), child.lineno)
        else:
            _fill(child, page)


def _text(node: nodes.Node) -> str:
    """An expression as a piece of the page."""
    match node:
        case nodes.Const(value=str(value)):
            return value
        case nodes.Concat(nodes=parts):
            return "".join(_text(part) for part in parts)
        case nodes.Add(left=left, right=right):
            return _text(left) + _text(right)
        case nodes.Mod(left=nodes.Const(value=str(pattern))):
            return formatted(pattern)
        case nodes.Filter(node=nodes.Const(value=str(pattern)), name="format"):
            return formatted(pattern)
        case nodes.Getattr(node=nodes.Name(name="request"), attr=attribute) if attribute in BEGINNING:
            return BASE
        case nodes.CondExpr(expr1=first, expr2=second):
            branches = [_text(first), _text(second) if second else HOLE]
            return next((branch for branch in branches if kind_of(branch)), HOLE)
        case nodes.Filter(
            node=nodes.Const() | nodes.Concat() | nodes.Add() as inner, name="safe" | "e" | "escape"
        ):
            return _text(inner)
    return HOLE


def _expressions(tree: nodes.Template) -> Iterator[nodes.Expr]:
    """The outermost texts of all expressions, and what else is looked at in them."""
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.Expr):
            yield node
        if not isinstance(node, nodes.Concat | nodes.Add):
            waiting += node.iter_child_nodes()


def _expression(node: nodes.Expr, file: str, routes: Routes) -> Iterator[Written]:
    match node:
        case nodes.Const(value=str()) | nodes.Concat() | nodes.Add():
            text = _text(node)
            # A text between other things may be a file's path, as `{% include %}` has it.
            if kind_of(text) is Kind.HOST or (kind_of(text) and routes.find(text) and text.strip("/")):
                kind = kind_of(text) or Kind.PATH
                yield Written(file, node.lineno, shown(text), kind, routes.url_for(text))
        case nodes.Call(node=nodes.Name(name=name), args=[nodes.Const(value=str(endpoint)), *_]):
            if name in _URL_MAKERS and endpoint[:1] != "." and routes.lacks(endpoint):
                yield Written(file, node.lineno, endpoint, Kind.ENDPOINT)
        case nodes.Getattr(node=nodes.Name(name="request"), attr=attribute):
            if attribute in OF_THE_REQUEST:
                yield Written(file, node.lineno, f"request.{attribute}", Kind.REQUEST)
