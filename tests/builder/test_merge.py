"""Tests of builder.merge: one file shows what its parts did."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from asset_samples import TYPES, collected, refusal
from hypothesis import given
from hypothesis import strategies as st

from builder.asset_names import hashed_name
from builder.asset_rules import Merge, Rules, load_rules
from builder.css import CssFault
from builder.errors import AssetError
from builder.merge import merge_scripts, merge_sheets

SELECTORS = (".a", ".b", ".a>.b", "p .a", "#c")
_Rules = list[tuple[str, list[str], list[tuple[str, str, bool]]]]
_NAMES = ("color", "width", "border")
_VALUES = ("red", "1px", "none", "-webkit-box")


@pytest.mark.parametrize(
    ("sheets", "expected"),
    [
        ((".a{color:red}", ".a { color : blue; }"), ".a{color:blue}"),
        ((".a,.b{color:red}", ".a{color:blue}"), ".a,.b{color:red}\n.a{color:blue}"),
        ((".a,.b{color:red}", ".b{color:tan}.a{color:blue}"), ".b{color:tan}\n.a{color:blue}"),
        ((".a>.b{color:red}", ".a  >\n.b{color:blue}"), ".a>.b{color:blue}"),
        ((".a{width:1px}", ".a{width:10}"), ".a{width:1px}\n.a{width:10}"),
        ((".a{width:1px;z-index:2}", ".a{width:0;z-index:3}"), ".a{width:0;z-index:3}"),
        ((".a .b{color:red}", ".a.b{color:blue}"), ".a .b{color:red}\n.a.b{color:blue}"),
        ((".a{color:red!important}", ".a{color:blue}"), ".a{color:red!important}\n.a{color:blue}"),
        ((".a{color:red}", ".a{color:blue ! important}"), ".a{color:blue!important}"),
        (
            (".a{color:red}", "@media print{.a{color:blue}}"),
            ".a{color:red}\n@media print{\n.a{color:blue}\n}",
        ),
        (("@media print{.a{color:red}}", ".a{color:blue}"), ".a{color:blue}"),
        (
            ("@media print{.a{color:red}}", "@media  print{.a{color:blue}}"),
            "@media print{\n.a{color:blue}\n}",
        ),
        (("@media tv{.a{width:0}}", "@media tv{.b{width:0}}"), "@media tv{\n.a{width:0}\n.b{width:0}\n}"),
        # What a browser may refuse replaces nothing.
        ((".a{width:1px}", ".a{width:-moz-fit-content}"), ".a{width:1px}\n.a{width:-moz-fit-content}"),
        ((".a{width:1px}", ".a,.a::-x{width:2px}"), ".a{width:1px}\n.a,.a::-x{width:2px}"),
        ((".a{color:#000;color:rgba(0,0,0,0)}",), ".a{color:#000;color:rgba(0,0,0,0)}"),
        # Texts stay as they are.
        (('.a{content:"a  , b"}/* c */',), '.a{content:"a  , b"}'),
        (("/*! A licence. */.a{x:y}",), "/*! A licence. */\n.a{x:y}"),
        (
            ("@font-face{font-family:x}", ".a{--B:1;--b:2;*zoom:1}"),
            "@font-face{font-family:x}\n.a{--B:1;--b:2}",
        ),
        (("@charset 'utf-8';.a{}",), ""),
    ],
)
def test_sheets(sheets: tuple[str, ...], expected: str) -> None:
    """What a later rule says again for the same selectors is left out, and nothing else."""
    assert merge_sheets(sheets).strip() == expected


@pytest.mark.parametrize(
    "sheet",
    ["@import 'x.css';", "@media print{@media tv{.a{b:c}}}", "@layer x;", ".a{.b{c:d}}", ".a", "@new{x:y}"],
)
def test_what_cannot_be_merged_is_refused(sheet: str) -> None:
    with pytest.raises(CssFault, match="cannot be merged"):
        merge_sheets([sheet])


_rules = st.lists(
    st.tuples(
        st.sampled_from(["", "print"]),
        st.lists(st.sampled_from(SELECTORS), min_size=1, max_size=2, unique=True),
        st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES), st.booleans()), max_size=2),
    ),
    max_size=8,
)


def _lines(rules: _Rules) -> list[str]:
    lines = []
    for media, selectors, declarations in rules:
        body = ";".join(f"{name}:{value}{'!important' * weight}" for name, value, weight in declarations)
        rule = f"{','.join(selectors)}{{{body}}}"
        lines += [f"@media {media}{{", rule, "}"] if media else [rule]
    return lines


def _shown(lines: list[str], matching: tuple[str, ...], media: str, prefixed: bool) -> dict[str, str]:
    """What an element shows that just the selectors `matching` are for: the cascade, in small."""
    won: dict[str, tuple[tuple[bool, int], str]] = {}
    under = ""
    for line in lines:
        if line.startswith("@media ") or line == "}":
            under = line[7:-1]
        elif under in ("", media):
            selectors, _, body = line.removesuffix("}").partition("{")
            for selector in set(selectors.split(",")) & set(matching):
                for declaration in filter(None, body.split(";")):
                    name, _, value = declaration.partition(":")
                    rank = (value.endswith("!important"), 10 * selector.count("#") + selector.count("."))
                    refused = value.startswith("-webkit-") and not prefixed
                    if not refused and (name not in won or rank >= won[name][0]):
                        won[name] = (rank, value)
    return {name: value for name, (_, value) in won.items()}


@given(st.lists(_rules, min_size=1, max_size=3), st.sampled_from(["print", "screen"]), st.booleans())
def test_every_element_looks_the_same(parts: list[_Rules], media: str, prefixed: bool) -> None:
    """Whatever selectors are for an element, on a screen and on paper, in browsers that know more or less."""
    sheets = [_lines(rules) for rules in parts]
    merged = merge_sheets(map("\n".join, sheets)).splitlines()
    for count in (1, 2, 3):
        for matching in itertools.combinations(SELECTORS, count):
            before = _shown([line for sheet in sheets for line in sheet], matching, media, prefixed)
            assert _shown(merged, matching, media, prefixed) == before


def test_scripts() -> None:
    """One that ends without a semicolon, or in a comment, does not change the next."""
    merged = merge_scripts(["(function () {})()", "(function () {})() // end\n"])
    assert merged == "(function () {})()\n;\n(function () {})() // end\n;\n"


RULE = Merge("static/all.css", ("static/deep/a.css", "static/b.css"), "one request")
FILES: dict[str, str | bytes] = {
    "deep/a.css": ".a{background:url(../x.png)}", "b.css": ".b{color:red}", "x.png": "x", "c.js": "c()"
}  # fmt: skip


def test_merged_asset(tmp_path: Path) -> None:
    """It has the parts' rewritten references, though they are of other folders; the parts stay."""
    found = collected(tmp_path, FILES, Rules(TYPES, merges=(RULE,)))
    merged = found["static/all.css"]
    picture = found["static/x.png"].name
    assert merged.content.decode() == f".a{{background:url({picture})}}\n.b{{color:red}}\n"
    assert (merged.references, merged.content_type) == (("static/x.png",), TYPES[".css"].content_type)
    assert merged.name == hashed_name("all.css", merged.content)
    assert {"static/deep/a.css", "static/b.css"} <= found.keys()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"files": ("static/b.css", "static/d.css")}, "static/all.css: not in the bundle: static/d.css"),
        ({"name": "static/b.css"}, "static/b.css: is also a file"),
    ],
)
def test_merge_that_cannot_be_made(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    """The build names the rule."""
    rules = Rules(TYPES, merges=(replace(RULE, **changed),))  # type: ignore[arg-type]
    assert f"[[merge]] {message}" in refusal(tmp_path, FILES, rules)


def test_sheet_that_cannot_be_merged(tmp_path: Path) -> None:
    files = {**FILES, "b.css": "@layer x;"}
    assert "[[merge]] static/all.css: cannot be merged: @layer" in refusal(
        tmp_path, files, Rules(TYPES, merges=(RULE,))
    )


def test_rule_for_several_kinds(tmp_path: Path) -> None:
    """A merge is of style sheets or of scripts."""
    path = tmp_path / "rules.toml"
    path.write_text('[[merge]]\nname = "a/x.css"\nfiles = ["a/y.css", "a/z.js"]\nreason = "-"\n')
    with pytest.raises(AssetError) as caught:
        load_rules(path)
    assert "merge[0]: makes one .css of several, or one .js" in caught.value.render()
