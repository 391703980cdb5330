"""Tests of builder.report: one page, everything on it, nothing unescaped."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.libraries import Library
from builder.manifest import Encoding, Entry, Manifest
from builder.records import Dependency, Output
from builder.release import load_release
from builder.report import Build, OverlayFile, format_size, group_by_folder, prose, render_report
from builder.report_diff import diff_files, split_difference
from builder.series import Series, load_series
from builder.wheel import WheelDifference

SAMPLE = Path(__file__).parents[1] / "samples" / "records" / "2.0"
VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """The page's tags and text; fails where a tag is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def entry(name: str, size: int, **encodings: int) -> Entry:
    variants = {encoding: Encoding(bytes_, "0" * 64) for encoding, bytes_ in encodings.items()}
    return Entry(name, size, "text/css", "0" * 64, "sha384-", variants)


@pytest.fixture
def build() -> Build:
    return Build(
        release=load_release(SAMPLE),
        series=load_series(SAMPLE),
        overlay=[OverlayFile("made_up_service/a.py", 12, 345, "6" * 64)],
        wheel=Output("made_up.whl", 2345678, "9" * 64),
        difference=WheelDifference(("made_up_service/a.py",), ("made_up/notes.txt",), ("made_up/page.py",), 1234),
        dependencies=[Dependency("numpy", "2.1", (), ("3.11",)), Dependency("numpy", "2.2", (), ("3.12",))],
        manifest=Manifest("2.0", {"static/a.css": entry("a.1.css", 1000, gzip=400, br=300), "static/b": entry("b", 9)}),
        libraries=[Library("jQuery", "3.5", "MIT", "pkg:npm/jquery@3.5.1", ("static/jquery.js",), True)],
        outputs=[Output("made_up.whl", 2345678, "9" * 64)],
    )


def test_page_is_whole_and_asks_nobody(build: Build) -> None:
    """The page is well-formed, runs no script, and loads nothing from anywhere."""
    html = render_report(build)
    page = Page(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "form", "object"}
    assert not any(key == "src" or key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert "url(" not in html
    assert "@import" not in html
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'")


def test_links_within_the_page_lead_somewhere(build: Build) -> None:
    """Every anchor that is linked is there, and no id is given twice."""
    page = Page(render_report(build))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = {str(a["href"])[1:] for tag, a in page.tags if tag == "a" and str(a["href"]).startswith("#")}
    assert len(ids) == len(set(ids))
    assert links <= set(ids)
    assert {"patch-quote-the-origin", "patch-drop-the-notes", "advisories"} <= links


def test_everything_is_on_it(build: Build) -> None:
    """Patches with reasons, tests and diffs, overlay, wheel, dependencies, assets, outputs."""
    text = Page(render_report(build)).text
    for expected in (
        "2.0+svc.3", "Nobody reads them.", "tests/patches/test_notes.py::test_notes", "html.escape", "CVE-2021-45229",
        "made_up_service/a.py", "6" * 64, "1\u2009234 files are the same", "2.2", "py 3.12", "static/a.css", "1.0 kB",
        "300 B", "jQuery", "2.3 MB", "9" * 64, "made_up_static-1.0-py3-none-any.whl",
    ):  # fmt: skip
        assert expected in text, expected


def test_hostile_text_is_text(build: Build) -> None:
    """Markup in a diff or a header appears as written and makes no element."""
    html = render_report(build)
    assert "<script" not in html
    assert "<origin>" not in html
    assert '</pre><script>alert(1)</script>"' in Page(html).text


def test_bytes_that_are_not_text_are_replaced(build: Build) -> None:
    """A diff that is not UTF-8 still makes a page that is."""
    first, *rest = build.series.patches
    odd = dataclasses.replace(first, diff=first.diff.replace("b = 2", "b = '\udce9'"))
    html = render_report(dataclasses.replace(build, series=Series(SAMPLE, (odd, *rest))))
    assert "b = &#39;\ufffd&#39;" in html
    html.encode()


def test_empty_build_is_shown(build: Build) -> None:
    """No patches, no overlay, no assets: the page says so and stays whole."""
    html = render_report(
        dataclasses.replace(
            build, series=Series(SAMPLE, ()), overlay=[], manifest=Manifest("2.0", {}), libraries=[], dependencies=[],
            difference=WheelDifference((), (), (), 0),
        )
    )  # fmt: skip
    text = Page(html).text
    assert "the sources are upstream's" in text
    assert "The bundle is empty." in text


def test_bars_fit(build: Build) -> None:
    """No bar is wider than its track, and the widest fills it."""
    widths = [float(width) for width in re.findall(r'style="width:([\d.]+)%', render_report(build))]
    assert max(widths) == 100
    assert min(widths) >= 0


def test_changed_files_name_their_patches(build: Build) -> None:
    """Files are grouped by their first two folders and lead to the patches that name them."""
    folders = group_by_folder(["a/b/c/d.py", "a/b/e.py", "f.py"], {})
    assert [(folder.name, len(folder.files)) for folder in folders] == [(".", 1), ("a/b", 2)]
    html = render_report(build)
    assert re.search(r"<code>made_up/page.py</code> <a class=\"tag\" href=\"#patch-quote-the-origin\"", html)


def test_diff_has_numbers_and_kinds() -> None:
    """Lines carry their numbers on each side; deleted files say so."""
    quote, notes = load_series(SAMPLE).patches
    [file] = diff_files(quote)
    assert [(line.sign, line.old, line.new) for line in file.hunks[0].lines] == [
        (" ", 1, 1), ("-", 2, None), ("+", None, 2), ("+", None, 3), (" ", 3, 4), (" ", 4, 5),
    ]  # fmt: skip
    assert file.hunks[0].heading == "@@ -1,4 +1,5 @@ def page():"
    assert diff_files(notes)[0].change == "deleted"


def test_changed_words_are_marked() -> None:
    """Only what differs between two similar lines is marked."""
    assert split_difference("x = f(a)", "x = g(a)") == ("x = ", "f", "(a)")
    assert split_difference("x = f(a)", "x = f(a, b)") == ("x = f(a", "", ")")
    assert split_difference("entirely", "otherwise") == ("entirely", "", "")
    assert split_difference("same", None) == ("same", "", "")


@given(st.text(max_size=30), st.text(max_size=30))
def test_marking_loses_nothing(text: str, other: str) -> None:
    """The three parts of a line are the line."""
    assert "".join(split_difference(text, other)) == text


@given(st.text(max_size=60))
def test_prose_is_escaped(text: str) -> None:
    """Whatever a reason says, it makes only paragraphs and code."""
    assert {tag for tag, _ in Page(str(prose(text))).tags} <= {"p", "code"}


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9949, "9.9 kB"), (9960, "10 kB"), (999_600, "1.0 MB")],
)
def test_sizes_are_readable(size: int, shown: str) -> None:
    """Two digits or so, and never `1000 kB`."""
    assert format_size(size) == shown
