"""Tests of builder.url_check: a made-up tree with good and bad samples, and texts in every spelling."""

from __future__ import annotations

import ast
import html
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_release import Checkout

from builder.errors import HandWrittenUrl
from builder.url_check import check_tree, find, scope
from builder.url_check.declarations import read_declarations
from builder.url_check.html import line_table, read_css, read_html
from builder.url_check.javascript import read_javascript
from builder.url_check.python import read_python
from builder.url_check.report import describe
from builder.url_check.routes import Route, Routes
from builder.url_check.templates import read_template
from builder.url_check.texts import HOLE, Kind, Written

SAMPLES = Path(__file__).parents[1] / "samples" / "urls"
_LIBRARY = "web/static/library.min.js"
_SCOPE = scope(SAMPLES, ["web"], [], [_LIBRARY], None)
_DECLARATIONS = read_declarations([ast.parse((SAMPLES / "web" / "app.py").read_bytes())])
_ROUTES = _DECLARATIONS.routes()
_MARK = re.compile(r"URL: (.*?)\s*(?:#\}|\*/|$)")


def _marked() -> dict[tuple[str, int], list[str]]:
    """What the samples say of themselves: place and part of the message."""
    marks = {}
    for name, path in _SCOPE.files.items():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if found := _MARK.search(line):
                marks[name, number] = found[1].split(" ; ")
    return marks


def _javascript(text: str, routes: Routes = _ROUTES) -> list[Written]:
    return read_javascript(text, "x.js", line_table(text), routes)


def _html(text: str, routes: Routes = _ROUTES) -> list[Written]:
    return read_html(text, "x.html", line_table(text), routes)


def _python(text: str) -> list[Written]:
    return read_python("x.py", ast.parse(text), _ROUTES, _DECLARATIONS)


def test_every_bad_sample_is_found_and_no_good_one() -> None:
    """Each marked line is reported, with the message that it names, and no other line is."""
    found, _ = find(_SCOPE)
    told: dict[tuple[str, int], list[str]] = {}
    for written in sorted(found):
        told.setdefault((written.file, written.line), []).append(describe(written))
    marked = _marked()
    assert told.keys() == marked.keys()
    assert len(marked) > 80
    for place, parts in marked.items():
        for part in parts:
            assert any(part in message for message in told[place]), (place, part, told[place])


def test_routes_are_what_the_tree_declares() -> None:
    """Prefixes, views under another URL, inherited routes; of a computed rule only the name is known."""
    assert _ROUTES.rules["api.runs"] == {"/api/v1/dags/<string:dag_id>/runs/<path:rest>"}
    assert _ROUTES.rules["again.log"] == {"/admin/elsewhere/log"}
    assert _ROUTES.rules["person.extra"] == {"/admin/person/extra/"}
    assert _ROUTES.rules["person.export"] == {"/admin/person/export/<export_type>/"}
    assert _ROUTES.rules["admin.index"] == {"/admin/"}
    assert not _ROUTES.lacks("callback")
    assert _ROUTES.lacks("tasks.gone")
    assert not _ROUTES.lacks("of_a_library.view")


_STEP = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
_PATHS = st.sampled_from(
    ["/admin/", "/admin/tasks/log", "/health", "/nowhere/x?a=1#b", "/api/v1/dags/x/runs/y"]
)


@given(steps=st.lists(st.tuples(_STEP, st.sampled_from(["", "string:", "path:"])), min_size=1, max_size=5))
def test_a_path_leads_to_its_own_rule(steps: list[tuple[str, str]]) -> None:
    """Whatever the parameters' values are, a path made from a rule finds it."""
    rule = "".join(f"/<{kind}{name}>" if kind else f"/{name}" for name, kind in [("first", ""), *steps])
    path = re.sub("<[^>]*>", "value", rule)
    routes = Routes([Route(rule, "x.y"), Route("/other/thing", "x.z")])
    found = routes.find(f"{path}?query=/other/thing")
    assert found is not None
    assert found.endpoint == "x.y"


@given(path=_PATHS, quote=st.sampled_from(["'", '"', "`"]), how=st.sampled_from(["plain", "x", "u", "u{}"]))
def test_javascript_is_read_in_every_spelling(path: str, quote: str, how: str) -> None:
    """Quotes and escapes hide nothing."""
    spelled = {
        "plain": path,
        "x": "".join(f"\\x{ord(each):02x}" for each in path),
        "u": "".join(f"\\u{ord(each):04X}" for each in path),
        "u{}": "".join(f"\\u{{{ord(each):x}}}" for each in path),
    }[how]
    [found] = _javascript(f"// a comment\nsend({quote}{spelled}{quote});")
    assert (found.text, found.line, found.kind) == (path, 2, Kind.PATH)


@given(path=_PATHS, quote=st.sampled_from(["'", '"']), how=st.sampled_from(["plain", "named", "number"]))
def test_html_is_read_in_every_spelling(path: str, quote: str, how: str) -> None:
    """Upper case, either quotes, entities, line ends inside the tag."""
    spelled = {
        "plain": path,
        "named": html.escape(path).replace("/", "&sol;"),
        "number": "".join(f"&#x{ord(each):x};" for each in path),
    }[how]
    [found] = _html(f"<p>\n<A\n  Class='x' HREF = {quote}{spelled}{quote}>")
    assert (found.text, found.line, found.kind) == (path, 3, Kind.PATH)


@given(path=_PATHS, parts=st.integers(1, 4))
def test_python_is_read_in_every_spelling(path: str, parts: int) -> None:
    """Adjacent texts, sums and formats are one text."""
    size = -(-len(path) // parts)
    pieces = [path[start : start + size] for start in range(0, len(path), size)]
    spellings = [
        " ".join(map(ascii, pieces)),
        " + ".join(map(repr, pieces)),
        f"{'{}' * len(pieces)!r}.format({', '.join(map(repr, pieces))})",
        "f" + repr("".join(f"{{{piece!r}}}" for piece in pieces)) if "'" not in path else repr(path),
    ]
    for spelling in spellings:
        [found] = _python(f"import flask\n\nflask.redirect({spelling})")
        assert (found.text, found.line, found.kind) == (path, 3, Kind.PATH), spelling


@given(lines=st.integers(0, 5), path=_PATHS)
def test_a_template_is_told_by_its_own_lines(lines: int, path: str) -> None:
    """Blocks, comments and whitespace control do not shift the lines."""
    before = "{# a\n comment #}{%- if x -%}\n\n {%- endif %}" + "\n" * lines
    [found] = read_template(before + f'<a class="{{{{ x }}}}" href="{path}">', "x.html", _ROUTES)
    assert (found.text, found.line) == (path, before.count("\n") + 1)


@given(text=st.text(st.sampled_from("<>\"'`/\\(){}%#=ab \n;:&@$ꙮ-"), max_size=60))
def test_no_text_stops_the_readers(text: str) -> None:
    """Whatever stands there, the answer is a list of faults."""
    for found in (_html(text), _javascript(text), read_template(text, "x", _ROUTES)):
        assert all(1 <= written.line <= text.count("\n") + 2 for written in found)
    read_css(text, "x.css", line_table(text), _ROUTES)


def test_a_computed_path_names_the_view() -> None:
    """If a view's page is computed, the view is named."""
    assert _ROUTES.url_for(f"/admin/tasks/{HOLE}/x") == "url_for('tasks.…')"
    assert _ROUTES.url_for(f"/admin/{HOLE}") == "url_for('admin.index')"


def test_a_sum_deeper_than_any_stack(tmp_path: Path) -> None:
    """A table of many thousand joined texts, as minified scripts have, is read too."""
    found = _javascript("x = " + " + ".join(['"a"'] * 20_000) + ";\ny = '/admin/'")
    assert [written.line for written in found] == [2]


@pytest.mark.parametrize(
    ("exceptions", "message"),
    [
        ("[[exception]]\nfile = 'x'\n", "exception[0].text: must be text"),
        ("[[exception]]\nfile = 'x'\ntext = 'y'\nreason = ' '\n", "exception[0].reason: must be text"),
        ("[[exception]]\nfile = 'x'\ntext = 'y'\nreason = 'z'\nline = 1\n", "exception[0].line: no such key"),
        ("[[exception]]\nfile = 'x'\ntext = 'y'\nreason = 'z'\n" * 2, "are there twice"),
        ("[[exception]]\nfile = 'x'\ntext = 'y'\nreason = 'z'\ntimes = 0\n", "exception[0].times: must be a whole"),
        ("[exceptions]\n", "exceptions: no such key"),
        ("exception = 1\n", "exception: must be tables"),
        ("[[exception]", "cannot read url-exceptions.toml"),
        (b"\xff", "cannot read url-exceptions.toml"),
    ],
)
def test_exceptions_are_checked(tmp_path: Path, exceptions: str | bytes, message: str) -> None:
    """A malformed list of exceptions fails with the path to each fault."""
    path = tmp_path / "url-exceptions.toml"
    path.write_bytes(exceptions if isinstance(exceptions, bytes) else exceptions.encode())
    with pytest.raises(HandWrittenUrl) as caught:
        check_tree(_SCOPE, path)
    assert message in caught.value.render()


def _write_page(checkout: Checkout, text: str) -> None:
    """Give the overlay of the tiny release a view."""
    (checkout.root / "overlay" / "tiny_service" / "pages.py").write_text(text)


def test_check_fails_on_a_url_written_by_hand(checkout: Checkout) -> None:
    """`check` ends with 27, and names file, line, text and endpoint."""
    _write_page(
        checkout,
        "from flask import Flask, redirect\n\napp = Flask(__name__)\n\n\n@app.route('/start')\n"
        "def start():\n    return redirect('/start')\n",
    )
    ran = checkout.run("check")
    assert ran.code == HandWrittenUrl.exit_code == 27
    assert "tiny_service/pages.py:8: '/start' is a path from the root of the host" in ran.err
    assert "it should be url_for('start')" in ran.err


def test_an_exception_lets_one_text_through_and_must_cover_one(checkout: Checkout) -> None:
    """With its exception the check passes, and says how many there are; without the text it fails."""
    exceptions = checkout.root / "patches" / "1.0" / "url-exceptions.toml"
    exceptions.write_text(
        json.dumps({"file": "tiny_service/pages.py", "text": "https://example.org", "reason": "a link"})
        .replace('{"', "[[exception]]\n").replace('": ', " = ").replace(', "', "\n").replace("}", "\n")
    )  # fmt: skip
    _write_page(checkout, "from web import MenuLink\n\nMenuLink('x', 'https://example.org')\n")
    assert "; 1 exceptions" in checkout.succeed("check").out
    _write_page(checkout, "from web import MenuLink\n" + "\nMenuLink('x', 'https://example.org')" * 2 + "\n")
    assert checkout.run("check").code == HandWrittenUrl.exit_code
    with exceptions.open("a") as file:
        file.write("times = 2\n")
    assert "; 1 exceptions" in checkout.succeed("check").out
    _write_page(checkout, "from web import MenuLink\n\nMenuLink('x', endpoint='y')\n")
    ran = checkout.run("check")
    assert ran.code == HandWrittenUrl.exit_code
    assert "url-exceptions.toml: tiny_service/pages.py has no 'https://example.org' any more" in ran.err
