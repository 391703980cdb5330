"""What the templates ask for: file names given to url_for and its kin.

Read with Jinja's own parser, so that a name split over lines, in either quotes,
or with a `v=` argument beside it, is found all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment, TemplateSyntaxError, nodes

from builder.asset_files import FileTree
from builder.errors import AssetError

# Airflow's templates and Flask-Admin's use nothing beyond these.
_JINJA = Environment(
    extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=True
)
_MAX_TEMPLATE_BYTES = 1_000_000

# A URL that is written by hand is wrong below a prefix, but its file is asked for.
_BY_HAND = re.compile(r"""["'(=]\s*/static/(?P<path>[^"'()?#\s{}]+)""")
# The macro file that Flask-Admin's templates import to name their static files.
_ADMIN_STATIC = "admin/static.html"


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Templates of one package, as they are known to Jinja below `name`."""

    name: str
    tree: FileTree


@dataclass(frozen=True, slots=True)
class Asked:
    """A template's wish: `file` is a logical name, or nothing if it is computed."""

    template: str
    shown: str
    line: int
    file: str


def asked_for(sets: Sequence[TemplateSet], endpoints: dict[str, str]) -> list[Asked]:
    """All wishes of all templates.

    `endpoints` maps a static endpoint to its source, such as `admin.static` to
    `admin`. Raises AssetError.
    """
    wishes: list[Asked] = []
    faults: list[str] = []
    for templates in sets:
        reader = templates.tree.open(_MAX_TEMPLATE_BYTES)
        paths = [path for path in reader.sizes if path.endswith((".html", ".htm", ".xml", ".txt"))]
        for path, content in reader.contents(paths):
            shown = templates.tree.shown(path)
            try:
                found = list(_wishes(_JINJA.parse(content.decode()), endpoints))
            except (TemplateSyntaxError, UnicodeDecodeError) as error:
                faults.append(f"{shown}:{getattr(error, 'lineno', 1)}: cannot be read: {error}")
            except _UnknownEndpoint as error:
                faults.append(f"{shown}:{error.line}: no source has the static endpoint {error.endpoint!r}")
            else:
                wishes += [Asked(f"{templates.name}/{path}", shown, line, file) for line, file in found]
    if faults:
        raise AssetError("templates whose assets cannot be told", detail="\n".join(faults))
    return wishes


class _UnknownEndpoint(Exception):
    def __init__(self, line: int, endpoint: str) -> None:
        super().__init__(endpoint)
        self.line = line
        self.endpoint = endpoint


def _wishes(tree: nodes.Template, endpoints: dict[str, str]) -> Iterator[tuple[int, str]]:
    macros = {"admin_static"} | {
        imported.target
        for imported in tree.find_all(nodes.Import)
        if isinstance(imported.template, nodes.Const) and imported.template.value == _ADMIN_STATIC
    }
    for call in tree.find_all(nodes.Call):
        source = _source(call, macros, endpoints)
        for keyword in call.kwargs:
            if source and keyword.key == "filename":
                yield call.lineno, _constant(keyword.value, source)
    for data in tree.find_all(nodes.TemplateData):
        for match in _BY_HAND.finditer(data.data):
            yield data.lineno + data.data.count("\n", 0, match.start()), f"static/{match['path']}"


def _constant(value: nodes.Expr, source: str) -> str:
    """The logical name, or nothing if the template computes it."""
    try:
        name = value.as_const()
    except nodes.Impossible:
        return ""
    return f"{source}/{name}" if isinstance(name, str) else ""


def _source(call: nodes.Call, macros: set[str], endpoints: dict[str, str]) -> str:
    """The source whose static endpoint a call names, or nothing."""
    called = call.node
    if isinstance(called, nodes.Getattr) and called.attr == "url":
        owner = called.node
        return endpoints["admin.static"] if isinstance(owner, nodes.Name) and owner.name in macros else ""
    name = called.attr if isinstance(called, nodes.Getattr) else getattr(called, "name", "")
    if name not in ("url_for", "get_url") or not call.args or not isinstance(call.args[0], nodes.Const):
        return ""
    endpoint = str(call.args[0].value)
    if endpoint != "static" and not endpoint.endswith(".static"):
        return ""
    if endpoint not in endpoints:
        raise _UnknownEndpoint(call.lineno, endpoint)
    return endpoints[endpoint]
