"""The check as a whole: which files are read, and by whom."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.url_check.declarations import read_declarations
from builder.url_check.exceptions import load_exceptions
from builder.url_check.html import line_table, read_css
from builder.url_check.javascript import read_javascript
from builder.url_check.python import read_python
from builder.url_check.report import judge
from builder.url_check.routes import Routes
from builder.url_check.templates import read_template
from builder.url_check.texts import Kind, Written

_TEMPLATES = {".html", ".htm", ".xhtml", ".jinja", ".jinja2", ".j2"}
_SCRIPTS = {".js", ".mjs"}
_STYLES = {".css"}
# Parsing is slow, looking is quick. A file without any of these declares no route and writes no
# URL: a text that begins like one, a setting that holds one, or the host of the request.
_WORTH_PARSING = re.compile(
    rb"""["'](?:https?:)?/|["'](?:base_url|endpoint_url)["']|(?i:href|\bsrc=|action=)|\brequest\.\w*url"""
    rb"""|\burl_for\(|expose\(|\.route\(|Blueprint\(|View\b"""
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is read: files by the name that messages have for them, and those that are not ours to mend."""

    files: dict[str, Path]
    third_party: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check that passed looked at."""

    files: int
    routes: int
    exceptions: int


def check_tree(files: Scope, exceptions: Path) -> Checked:
    """Read all files. Raises HandWrittenUrl with everything that no written exception covers."""
    exemptions = load_exceptions(exceptions)
    found, routes = find(files)
    judge(found, exemptions)
    return Checked(len(files.files), len(routes.routes), len(exemptions))


def scope(
    tree: Path, packages: Iterable[str], without: Iterable[str], third_party: Iterable[str], own: Path | None
) -> Scope:
    """The files of a tree's packages and of a folder of own static files.

    `without` begins the paths that no wheel has; `third_party` are paths of libraries.
    """
    left_out = tuple(without)
    kinds = {".py", *_TEMPLATES, *_SCRIPTS, *_STYLES}
    found = {
        path.relative_to(tree).as_posix(): path
        for package in packages
        for path in sorted((tree / package).rglob("*"))
        if path.suffix in kinds
    }
    files = {name: path for name, path in found.items() if not name.startswith(left_out)}
    if own is not None and own.is_dir():
        files |= {
            f"assets/{path.relative_to(own.parent).as_posix()}": path
            for path in sorted(own.rglob("*"))
            if path.suffix in kinds
        }
    return Scope(files, frozenset(third_party))


def find(files: Scope) -> tuple[list[Written], Routes]:
    """All that is written by hand, and the routes that it was held against."""
    modules: dict[str, ast.Module] = {}
    found: list[Written] = []
    for name, path in files.files.items():
        if path.suffix == ".py":
            content = path.read_bytes()
            if _WORTH_PARSING.search(content):
                try:
                    modules[name] = ast.parse(content, name)
                except (SyntaxError, ValueError) as error:
                    line = getattr(error, "lineno", 1) or 1
                    found.append(Written(name, line, str(error), Kind.UNREADABLE))
    declarations = read_declarations(modules.values())
    routes = declarations.routes()
    for name, module in modules.items():
        found += read_python(name, module, routes, declarations)
    for name, path in files.files.items():
        if path.suffix != ".py" and name not in files.third_party:
            found += _pages(name, path, routes)
    return found, routes


def _pages(name: str, path: Path, routes: Routes) -> Iterator[Written]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        yield Written(name, 1, str(error), Kind.UNREADABLE)
        return
    if path.suffix in _TEMPLATES:
        yield from read_template(text, name, routes)
    elif path.suffix in _SCRIPTS:
        yield from read_javascript(text, name, line_table(text), routes)
    else:
        yield from read_css(text, name, line_table(text), routes)
