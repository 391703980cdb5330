"""Tests of builder.rebase: what would become of each patch on another release."""

from __future__ import annotations

import hashlib
import json

import pytest
from tiny_release import NEXT_SDIST, PATCHES, Checkout, FakeIndex, pins, send

from builder.errors import IndexFailure

TEXT = """\
1.0 → 1.1
  applies           say-the-version.patch
  conflict          greet-politely.patch
      tiny_app/core.py, hunk 1
  context moved     third-is-more.patch
      Hunk #1 succeeded at 14 (offset 4 lines).
  already upstream  double-by-two.patch
1 applies, 1 context moved, 1 already upstream, 1 conflict
"""


def test_the_report_as_text(checkout: Checkout, index: FakeIndex) -> None:
    """Each patch with its verdict, and file and hunk of what conflicts."""
    assert checkout.succeed("rebase", "1.1").out == TEXT


def test_the_report_as_json(checkout: Checkout, index: FakeIndex) -> None:
    """The same for machines, with the text of the rejected hunk."""
    report = json.loads(checkout.succeed("rebase", "1.1", "--json").out)
    assert (report["format"], report["base"], report["target"]) == (1, "1.0", "1.1")
    assert report["counts"] == {"applies": 1, "context moved": 1, "already upstream": 1, "conflict": 1}
    by_name = {patch["name"]: patch for patch in report["patches"]}
    assert list(by_name) == list(PATCHES)
    [rejected] = by_name["greet-politely.patch"]["rejected"]
    assert (rejected["file"], rejected["number"]) == ("tiny_app/core.py", 1)
    assert '-    return "hello " + name' in rejected["text"]
    assert by_name["say-the-version.patch"] == {
        "name": "say-the-version.patch", "verdict": "applies", "rejected": [], "notes": [],
    }  # fmt: skip


def test_nothing_of_ones_own_is_touched(patched: Checkout, index: FakeIndex) -> None:
    """A trial leaves the tree, with work in it, the patches and the cache as they were."""
    patched.edit_tree("tiny_app/extra.py", "return 1\n", "return 11\n")
    before = patched.snapshot("patches", "docs", ".build")
    patched.succeed("rebase", "1.1")
    assert patched.snapshot("patches", "docs", ".build") == before


def test_onto_itself_everything_applies(checkout: Checkout) -> None:
    """A release that is pinned needs no index once it is downloaded; the series fits its own release."""
    assert (
        "4 applies, 0 context moved, 0 already upstream, 0 conflict" in checkout.succeed("rebase", "1.0").out
    )


def test_a_pinned_release_is_verified(checkout: Checkout, index: FakeIndex) -> None:
    """Where the other release has pins of its own, they hold."""
    folder = checkout.root / "patches" / "1.1"
    folder.mkdir()
    (folder / "upstream.toml").write_text(pins("1.1", default=False), "utf-8")
    assert checkout.succeed("rebase", "1.1").out == TEXT
    wrong = hashlib.sha256(index.projects["tiny-app"][NEXT_SDIST]).hexdigest()
    text = (folder / "upstream.toml").read_text().replace(wrong, "0" * 64)
    (folder / "upstream.toml").write_text(text)
    assert checkout.run("rebase", "1.1").code == 13


@pytest.mark.parametrize("form", ["json", "html"])
def test_what_the_index_promised_is_held_against(checkout: Checkout, index: FakeIndex, form: str) -> None:
    """Without a pin, the index's own sum is what a download is held against."""
    index.form = form
    index.behaviours[NEXT_SDIST] = lambda handler, content: send(handler, content[:-9])
    ran = checkout.run("rebase", "1.1")
    assert ran.code == IndexFailure.exit_code
    assert "is not the file that the index promised" in ran.err


def test_a_version_that_no_index_has(checkout: Checkout, index: FakeIndex) -> None:
    """The file that would be that version's is named."""
    ran = checkout.run("rebase", "7.7")
    assert ran.code == IndexFailure.exit_code
    assert "tiny-app-7.7.tar.gz" in ran.err
