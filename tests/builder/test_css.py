"""Tests of builder.css: what is a reference, and that nothing else changes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import css


def urls(text: str) -> list[str]:
    return [reference.url for reference in css.references(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a{b:url(x.png)}", ["x.png"]),
        ("a{b:url( 'x y.png' )}", ["x y.png"]),
        ('a{b:URL("x.png")}', ["x.png"]),
        ("a{b:u\\72l(x.png)}", ["x.png"]),
        ("a{b:url(x\\)y.png)}", ["x)y.png"]),
        ("@import 'x.css' screen; b{c:'not.css'}", ["x.css"]),
        ("@import/**/url(x.css);", ["x.css"]),
        ('@namespace svg url("http://www.w3.org/2000/svg");', []),
        ('a{b:image-set("x.png" type("image/png") 1x, url(y.png) 2x)}', ["x.png", "y.png"]),
        ("/* url(x.png) */ a{content:'url(x.png)'}", []),
        ("@media print{a{b:url(x.png)}}", ["x.png"]),
        ("a{b:url(x.eot?#iefix)}", ["x.eot?#iefix"]),
        ("a{b:local('x.ttf')}", []),
        ("a{b:url()}", [""]),
    ],
)
def test_references(text: str, expected: list[str]) -> None:
    """Addresses that a browser fetches are found in each form, and no others."""
    assert urls(text) == expected


def test_line_numbers_with_all_line_ends() -> None:
    """A reference's line is counted as editors count it."""
    found = css.references("a{}\r\nb{}\rc{}\fd{}\ne{f:url(x.png)}")
    assert [(r.line, r.url) for r in found] == [(5, "x.png")]


def test_rewrite_touches_references_only() -> None:
    """Quotes, spaces and everything else stay as they were."""
    text = "a{b:url( 'x.png' ) ;;c : url(y.png)}\r\n\f@media  {}}}"
    assert css.rewrite(text, lambda r: r.url.upper()) == text.replace("x.png", "X.PNG").replace(
        "y.png", "Y.PNG"
    )


def test_none_leaves_a_reference_alone() -> None:
    """A resolver that returns None keeps the reference's own spelling."""
    text = "a{b:url(x\\20y.png)}"
    assert css.rewrite(text, lambda _: None) == text


def test_source_map_comments_are_dropped() -> None:
    """A comment that names a source map goes; one that only mentions it stays."""
    text = "/* about sourceMappingURL= */a{}/*# sourceMappingURL=x.css.map */b{}"
    assert css.rewrite(text, lambda _: None) == "/* about sourceMappingURL= */a{}b{}"


@pytest.mark.parametrize(
    "text", ["a{b:url(x", "a{b:url('x\n')}", "\n\na{b:url(x y)}", "a{b:url(x'y)}", "a{b:url('x"]
)
def test_broken_urls_are_refused(text: str) -> None:
    """What no browser can read is not guessed at."""
    with pytest.raises(css.CssFault) as caught:
        css.rewrite(text, lambda _: "y")
    assert caught.value.line == 1 + text.index("a")


NAMES = st.from_regex(r"\A[A-Za-z0-9_./-]{1,12}\Z")
# Text around references, in which no token can run on into the next piece.
NOISE = st.lists(
    st.sampled_from(
        [
            "a{b:c}",
            "/* url(no.png) */",
            "\r\n",
            "\f",
            "}",
            "{",
            "]",
            "é☃𐍈",
            ".x>y ",
            "@media x{",
            "'url(no)' ",
            ";",
            " ",
            "\0",
        ]
    ),
    max_size=6,
).map("".join)
REFERENCES = st.tuples(
    st.sampled_from(
        [
            "url({})",
            "url( {}\t)",
            "url('{}')",
            'URL( "{}" )',
            "image-set('{}' 1x)",
            "@import '{}';",
            '@import"{}";',
        ]
    ),
    NAMES,
)


@given(st.lists(st.tuples(NOISE, REFERENCES)), NOISE)
def test_rewriting_changes_references_and_nothing_else(
    pieces: list[tuple[str, tuple[str, str]]], end: str
) -> None:
    """Whatever stands around them, exactly the references are replaced."""
    before = "".join(f"{noise};{form.format(name)}" for noise, (form, name) in pieces) + end
    after = "".join(f"{noise};{form.format('new.name')}" for noise, (form, _) in pieces) + end
    assert urls(before) == [name for _, (_, name) in pieces]
    assert css.rewrite(before, lambda _: "new.name") == after


CSS_LIKE = st.lists(
    st.sampled_from([*"ul(')\"\\ \n\r\f/*@;{}[]x.é-0#%,\0", "url(", "/*", "*/", "@import ", "src("]),
    max_size=40,
).map("".join)


@given(CSS_LIKE)
def test_any_text_is_kept_or_refused(text: str) -> None:
    """However broken a sheet is, what is not replaced stays as it is."""
    with contextlib.suppress(css.CssFault):
        assert css.rewrite(text, lambda _: None) == text


@given(CSS_LIKE)
def test_what_was_written_is_read_back(text: str) -> None:
    """After a rewrite, each reference is the new one, and there are as many."""
    try:
        count = len(css.references(text))
        rewritten = css.rewrite(text, lambda _: "x.0123.css")
    except css.CssFault:
        return
    assert urls(rewritten) == ["x.0123.css"] * count
