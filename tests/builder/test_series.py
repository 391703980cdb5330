"""Tests of builder.series: headers, the series file, and what a patch may not be."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_release import PATCHES, ROOT, Checkout

from builder.errors import InvalidSeries
from builder.series import Patch, load_series, parse_message, patch_faults, patch_text, read_patch

DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"
FIELDS = {"Forwarded": "no", "Removal": "never", "Test": "tests/test_tiny.py::test_version"}
GOOD = Patch("some-words.patch", "Subject", "Reason.", FIELDS, DIFF, "")


def test_the_real_series_is_read() -> None:
    """Every patch of this checkout has a whole header."""
    assert load_series(ROOT / "patches" / "1.10.15").patches


def test_a_header_is_read(checkout: Checkout) -> None:
    """Subject, reason of several paragraphs, fields, diff and paths are told apart."""
    patch = read_patch(checkout.patches / "third-is-more.patch")
    assert patch.subject == "Return more for the third"
    assert patch.reason == "Three was too few.\n\nA second paragraph, for the sake of it."
    assert patch.fields == {
        "Forwarded": "https://example.org/pull/1",
        "Removal": "with the 1.0 line",
        "Test": "tests/test_tiny.py::test_third",
    }
    assert patch.paths == ("tiny_app/extra.py",)
    assert patch.tests == ("tests/test_tiny.py::test_third",)
    assert patch_text(patch) == (checkout.patches / patch.name).read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": "Some-words.patch"}, "lower-case words"),
        ({"name": "0001-x.patch"}, "the order is in the series"),
        ({"name": "../x.patch"}, "lower-case words"),
        ({"subject": ""}, "the subject is empty"),
        ({"reason": ""}, "the header gives no reason"),
        ({"fields": {**FIELDS, "Forwarded": ""}}, "the header lacks Forwarded:"),
        ({"fields": {**FIELDS, "Forwarded": "later"}}, "neither no, not-needed nor a URL"),
        ({"fields": {"Forwarded": "no", "Test": "x"}}, "the header lacks Removal:"),
        ({"fields": {"Forwarded": "no", "Removal": "x"}}, "the header lacks Test:"),
        ({"fields": {**FIELDS, "Author": "x"}}, "unknown field Author:"),
        ({"fields": {**FIELDS, "Oversize": "x"}}, "the patch is not over-sized"),
        ({"fields": {**FIELDS, "Removal": "a\nb"}}, "would not be read back"),
        ({"reason": "before\n---\nafter"}, "would not be read back"),
        ({"diff": ""}, "the diff is empty"),
        ({"diff": "nothing of a diff\n"}, "the diff is empty"),
        ({"diff": DIFF.replace("@@ -1 +1 @@", "@@ -1,7 +1 @@")}, "the diff is damaged"),
        ({"diff": DIFF.replace("x.py", "../x.py")}, "outside the tree"),
        ({"diff": DIFF.replace("+b\n", "+b\n" * 61).replace("+1 @@", "+1,61 @@")}, "in Oversize:"),
        ({"diff": "".join(DIFF.replace("x.py", f"x{n}.py") for n in range(4))}, "it adds 4 lines in 4 files"),
        (
            {
                "diff": "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n"
            },
            "a link or a binary file",
        ),
        (
            {
                "diff": "diff --git a/i.png b/i.png\nnew file mode 100644\nBinary files /dev/null and b/i.png differ\n"
            },
            "a link or a binary file",
        ),
    ],
)
def test_a_fault_is_named(change: dict[str, object], fault: str) -> None:
    """What a patch may not be is said in words."""
    assert not patch_faults(GOOD)
    found = patch_faults(dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert any(fault in line for line in found), found


def test_every_fault_is_told_at_once(checkout: Checkout) -> None:
    """A field that is missing, a file that is not listed, one named twice: 15, all of them, nothing made."""
    checkout.edit("patches/1.0/greet-politely.patch", "Removal: with the 1.0 line\n", "")
    checkout.edit("patches/1.0/double-by-two.patch", "Subject: ", "Topic: ")
    checkout.edit("patches/1.0/series", "third-is-more.patch\n", "say-the-version.patch\nno-such.patch\n")
    ran = checkout.run("dist")
    assert ran.code == InvalidSeries.exit_code == 15
    assert "has 5 faults" in ran.err
    for fault in (
        "greet-politely.patch: the header lacks Removal:",
        "double-by-two.patch has no header",
        "third-is-more.patch: not in the series",
        "say-the-version.patch: named twice in the series",
        "no-such.patch: in the series, but there is no such file",
    ):
        assert fault in ran.err
    assert "next: mend the headers or the series file by hand, then ./build.py check" in ran.err
    assert not checkout.line.exists()
    assert checkout.snapshot("dist") == {}


def test_comments_in_the_series_count_for_nothing(checkout: Checkout) -> None:
    """Empty lines and comments stand between the names."""
    (checkout.patches / "series").write_text("# first\n\n" + "\n  # more\n".join(PATCHES) + "\n", "utf-8")
    assert [patch.name for patch in load_series(checkout.patches)] == list(PATCHES)


def test_a_missing_series_file_is_named(checkout: Checkout) -> None:
    """A release without a series file is incomplete, even if it has no patch."""
    (checkout.patches / "series").unlink()
    ran = checkout.run("patch")
    assert ran.code == InvalidSeries.exit_code
    assert "series is missing" in ran.err


_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
_WORDS = st.text(
    st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1
)
_REASON = st.lists(_LINE, max_size=5).map("\n".join)
_ANY = st.builds(
    Patch,
    name=st.just("some-words.patch"),
    subject=_LINE,
    reason=_REASON,
    fields=st.fixed_dictionaries({"Forwarded": st.just("no"), "Removal": _LINE, "Test": _WORDS}),
    diff=st.just(DIFF),
    sha256=st.just(""),
)


@given(_ANY)
def test_a_faultless_header_is_read_back(patch: Patch) -> None:
    """A header without fault is the same after it was a commit message, and after it was a file."""
    if patch_faults(patch):
        return
    assert parse_message(patch.message) == (patch.subject, patch.reason, patch.fields)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / patch.name
        path.write_bytes(patch_text(patch).encode("utf-8"))
        again = read_patch(path)
    assert dataclasses.replace(again, sha256="") == patch
    assert patch_text(again) == patch_text(patch)


@given(
    st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
def test_no_text_crashes_the_reader(text: str) -> None:
    """Any bytes are a patch with faults, or are refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.patch"
        path.write_bytes(f"Subject: {text}\n---\n{text}".encode("utf-8", "surrogateescape"))
        patch_faults(read_patch(path))
