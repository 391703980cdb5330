"""Tests of builder.authoring: a patch is written, grows, is refreshed, and nothing is lost on the way."""

from __future__ import annotations

import pytest
from authoring import NEW, edit, new_patch
from tiny_release import PATCHES, Checkout

from builder.errors import InvalidSeries, UnsavedWork
from builder.git import git_text, run_git
from builder.series import read_patch


def test_from_an_edit_to_a_patch(patched: Checkout) -> None:
    """An edit of the tree becomes a patch file, a line of the series and a row of the ledger."""
    edit(patched)
    (patched.tree / "tiny_app" / "fresh.py").write_text("FRESH = True\n")
    ran = new_patch(patched)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"added: {NEW}\nwritten: docs/patches.md\n"
    patch = read_patch(patched.patches / NEW)
    assert patch.subject == "Return eleven for the first"
    assert patch.reason == "One was too few.\n# not a comment"
    assert patch.paths == ("tiny_app/extra.py", "tiny_app/fresh.py")
    assert patched.series == [*PATCHES, NEW]
    assert "Return eleven for the first" in (patched.root / "docs" / "patches.md").read_text("utf-8")
    patched.succeed("check")
    patched.succeed("clean", "--tree")
    patched.succeed("check")


def test_a_refresh_changes_nothing_that_is_current(patched: Checkout) -> None:
    """Apply, then export: no byte differs."""
    before = patched.snapshot("patches", "docs")
    assert patched.succeed("refresh").out == "the series is what the tree holds\n"
    assert patched.snapshot("patches", "docs") == before


@pytest.mark.parametrize("name", PATCHES[1:])
def test_a_change_is_folded_into_a_patch(patched: Checkout, name: str) -> None:
    """`refresh --into` adds the edit to the patch that is named, and to no other."""
    before = patched.snapshot("patches")
    edit(patched)
    ran = patched.succeed("refresh", "--into", name)
    after = patched.snapshot("patches")
    later = PATCHES[PATCHES.index(name) :]
    changed = {path.removeprefix("patches/1.0/") for path in after if after[path] != before[path]}
    assert name in changed
    # A later patch of the same file may see its lines move.
    assert changed <= set(later)
    assert f"refreshed: {name}" in ran.out
    assert "tiny_app/extra.py" in read_patch(patched.patches / name).paths
    patched.succeed("check")


def test_two_patches_of_one_subject_are_told_apart(patched: Checkout) -> None:
    """A fold goes by the patch's name: an equal subject does not draw it."""
    patched.edit("patches/1.0/third-is-more.patch", "Return more for the third", "Let the service greet")
    patched.succeed("patch")
    edit(patched)
    patched.succeed("refresh", "--into", "third-is-more.patch")
    assert "+    return 11" in (patched.patches / "third-is-more.patch").read_text()
    assert "return 11" not in (patched.patches / "greet-politely.patch").read_text()


def test_an_amended_commit_is_exported(patched: Checkout) -> None:
    """Whatever git itself does to the commits, refresh writes."""
    edit(patched)
    run_git(patched.tree, "commit", "--quiet", "--all", "--amend", "--no-edit")
    assert patched.succeed("refresh").out.startswith("refreshed: double-by-two.patch\n")
    assert "+    return 11" in (patched.patches / "double-by-two.patch").read_text()
    patched.succeed("check")


def test_a_commit_that_was_dropped_is_removed(patched: Checkout) -> None:
    """A patch goes with its commit; the series' comments stay."""
    series = patched.patches / "series"
    series.write_text("# In this order.\n" + series.read_text())
    patched.succeed("patch")
    run_git(patched.tree, "reset", "--quiet", "--hard", "HEAD^")
    assert "removed: double-by-two.patch" in patched.succeed("refresh").out
    assert series.read_text() == "# In this order.\n" + "".join(f"{name}\n" for name in PATCHES[:3])
    assert not (patched.patches / "double-by-two.patch").exists()


def test_uncommitted_changes_stop_a_refresh(patched: Checkout) -> None:
    """Refresh does not guess to which patch an edit belongs: 23, and the two commands that say it."""
    edit(patched)
    before = patched.snapshot("patches")
    ran = patched.run("refresh")
    assert ran.code == UnsavedWork.exit_code
    assert "M tiny_app/extra.py" in ran.err
    assert "./build.py new-patch NAME" in ran.err
    assert "./build.py refresh --into NAME" in ran.err
    assert patched.snapshot("patches") == before


@pytest.mark.parametrize(
    ("name", "changed", "fault"),
    [
        ("Bad Name", {}, "lower-case words joined by hyphens"),
        ("../../evil.patch", {}, "lower-case words joined by hyphens"),
        (NEW, {"subject": " "}, "the subject is empty"),
        (NEW, {"subject": "two\nlines"}, "would not be read back"),
        (NEW, {"reason": "a\n---\nb"}, "would not be read back"),
        (NEW, {"removal": ""}, "the header lacks Removal:"),
        (NEW, {"forwarded": "maybe"}, "neither no, not-needed nor a URL"),
        (NEW, {"oversize": "it is not"}, "the patch is not over-sized"),
    ],
)
def test_a_faulty_header_is_refused_at_once(
    patched: Checkout, name: str, changed: dict[str, str], fault: str
) -> None:
    """What `check` would refuse is not written, and the edit is still in the tree."""
    edit(patched)
    before = patched.snapshot("patches", "docs")
    ran = new_patch(patched, name, **changed)
    assert ran.code == InvalidSeries.exit_code
    assert fault in ran.err
    assert patched.snapshot("patches", "docs") == before
    assert git_text(patched.tree, "status", "--porcelain") == " M tiny_app/extra.py"
    assert new_patch(patched).code == 0


def test_too_large_a_patch_asks_why(patched: Checkout) -> None:
    """Past 60 added lines --oversize is asked for; with it the patch is written."""
    (patched.tree / "tiny_app" / "large.py").write_text("x = 1\n" * 61)
    ran = new_patch(patched)
    assert ran.code == InvalidSeries.exit_code
    assert "in Oversize:" in ran.err
    assert new_patch(patched, oversize="it is a test").code == 0


@pytest.mark.parametrize("kind", ["link", "picture"])
def test_what_no_patch_can_hold_is_refused(patched: Checkout, kind: str) -> None:
    """Links and binary files belong into the overlay, and the message says so."""
    place = patched.tree / "tiny_app" / "static" / "new"
    if kind == "link":
        place.symlink_to("/etc/passwd")
    else:
        place.write_bytes(b"\x89PNG\0\0")
    ran = new_patch(patched)
    assert ran.code == InvalidSeries.exit_code
    assert "put files into overlay/" in ran.err
    assert patched.series == list(PATCHES)


def test_a_name_that_is_taken(patched: Checkout) -> None:
    """An existing patch is not overwritten: the command that grows it is named."""
    edit(patched)
    ran = new_patch(patched, PATCHES[1])
    assert ran.code == InvalidSeries.exit_code
    assert f"next: ./build.py refresh --into {PATCHES[1]}" in ran.err


@pytest.mark.parametrize("arguments", [("refresh", "--into", PATCHES[1]), ("new-patch",)])
def test_without_a_change_there_is_nothing_to_write(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    """In a fresh checkout too, where the tree is made first."""
    ran = new_patch(checkout) if arguments == ("new-patch",) else checkout.run(*arguments)
    assert ran.code == InvalidSeries.exit_code
    assert "has no change to make a patch of" in ran.err


def test_a_patch_that_nobody_knows(patched: Checkout) -> None:
    """A misspelt --into leaves the edit where it is."""
    edit(patched)
    ran = patched.run("refresh", "--into", "greet.patch")
    assert ran.code == InvalidSeries.exit_code
    assert "no patch in the tree is called greet.patch" in ran.err
    assert git_text(patched.tree, "status", "--porcelain") == " M tiny_app/extra.py"


def test_a_fold_that_a_later_patch_forbids(patched: Checkout) -> None:
    """When a later patch changes the same lines, the edit stays in the tree, in no commit."""
    before = patched.snapshot("patches")
    commits = git_text(patched.tree, "rev-parse", "HEAD")
    patched.edit_tree("tiny_app/extra.py", "return 33", "return 333")
    ran = patched.run("refresh", "--into", PATCHES[1])
    assert ran.code == InvalidSeries.exit_code
    assert "a later patch changes the same lines" in ran.err
    assert git_text(patched.tree, "rev-parse", "HEAD") == commits
    assert git_text(patched.tree, "status", "--porcelain") == " M tiny_app/extra.py"
    assert "return 333" in (patched.tree / "tiny_app/extra.py").read_text()
    assert patched.snapshot("patches") == before
    patched.succeed("refresh", "--into", "third-is-more.patch")


def test_a_commit_without_a_name(patched: Checkout) -> None:
    """A commit that does not say which patch it is is told with its subject."""
    edit(patched)
    run_git(patched.tree, "commit", "--quiet", "--all", "--message", "Mine")
    ran = patched.run("refresh")
    assert ran.code == InvalidSeries.exit_code
    assert "Mine" in ran.err
    assert "Patch-Name: some-words.patch" in ran.err


@pytest.mark.parametrize("name", ["../evil.patch", "evil", "series", "upstream.toml", "UP.patch"])
def test_a_commit_with_a_bad_name(patched: Checkout, name: str) -> None:
    """A name that would write another file is refused before anything is written."""
    before = patched.snapshot("patches", "docs", "overlay")
    edit(patched)
    message = f"Mine\n\nWhy.\n\nForwarded: no\nRemoval: x\nTest: x\nPatch-Name: {name}"
    run_git(patched.tree, "commit", "--quiet", "--all", "--message", message)
    ran = patched.run("refresh")
    assert ran.code == InvalidSeries.exit_code
    assert name in ran.err
    assert patched.snapshot("patches", "docs", "overlay") == before


def test_two_commits_of_one_name(patched: Checkout) -> None:
    """Neither of two commits that claim a name is written."""
    edit(patched)
    message = git_text(patched.tree, "log", "-1", "--format=%B")
    run_git(patched.tree, "commit", "--quiet", "--all", "--message", message)
    ran = patched.run("refresh")
    assert ran.code == InvalidSeries.exit_code
    assert "two commits in the tree are the same patch" in ran.err
