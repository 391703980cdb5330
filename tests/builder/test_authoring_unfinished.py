"""Tests of builder.authoring in the middle of something: rebases that wait, patches that came meanwhile, conflicts."""

from __future__ import annotations

from pathlib import Path

import pytest
from authoring import NEW, edit, new_patch
from tiny_release import PATCHES, Checkout, Ran

from builder import authoring
from builder.errors import InvalidSeries, UnsavedWork
from builder.git import git_text, run_git
from builder.tree_state import UPSTREAM_TAG, Tree


def test_a_patch_that_came_meanwhile_is_not_undone(patched: Checkout) -> None:
    """A patch that was added, edited or reordered after the tree was made survives refresh and new-patch."""
    series = patched.patches / "series"
    added = patched.patches / "pulled.patch"
    text = (patched.patches / "double-by-two.patch").read_text()
    added.write_text(text.replace("number", "pulled"))
    series.write_text(series.read_text() + "pulled.patch\n")
    patched.edit("patches/1.0/greet-politely.patch", "Removal: with the 1.0 line", "Removal: soon")
    edit(patched)
    before = patched.snapshot("patches")
    for ran in (patched.run("refresh", "--into", PATCHES[2]), new_patch(patched), patched.run("refresh")):
        assert ran.code == UnsavedWork.exit_code
        assert "was edited after" in ran.err
        assert "pulled.patch" in ran.err
        assert "greet-politely.patch" in ran.err
        assert patched.snapshot("patches") == before
    assert git_text(patched.tree, "status", "--porcelain") == " M tiny_app/extra.py"


def test_an_edited_header_is_not_undone(patched: Checkout) -> None:
    """A header that was mended by hand is taken up by `patch`, and then exported as it is."""
    patched.edit("patches/1.0/greet-politely.patch", "Removal: with the 1.0 line", "Removal: soon")
    assert patched.run("refresh").code == UnsavedWork.exit_code
    patched.succeed("patch")
    patched.succeed("refresh")
    assert "Removal: soon" in (patched.patches / "greet-politely.patch").read_text()


def test_what_a_conflict_kept_out_stays_in_the_series(patched: Checkout) -> None:
    """After a conflict, a refresh of what is applied drops nothing of what is not yet."""
    patched.edit("patches/1.0/greet-politely.patch", '-    return "hello " + name', "-    return nothing")
    assert patched.run("patch").code == 16
    before = patched.snapshot("patches")
    ran = patched.succeed("refresh")
    assert [line for line in ran.out.splitlines() if line.startswith("not applied yet: ")] == [
        f"not applied yet: {name}" for name in PATCHES[1:]
    ]
    assert patched.snapshot("patches") == before
    edit(patched)
    assert new_patch(patched).code == 0
    assert patched.series == [PATCHES[0], NEW, *PATCHES[1:]]


def test_only_the_next_patch_can_be_taken_up(patched: Checkout) -> None:
    """During a conflict, --into takes an applied patch or the one in conflict, and says so of others."""
    patched.edit("patches/1.0/greet-politely.patch", '-    return "hello " + name', "-    return nothing")
    assert patched.run("patch").code == 16
    edit(patched)
    ran = patched.run("refresh", "--into", PATCHES[3])
    assert ran.code == InvalidSeries.exit_code
    assert f"not applied yet: {PATCHES[1]}" in ran.err


def test_a_rebase_that_goes_on_is_work(patched: Checkout) -> None:
    """A git rebase that stopped in the tree is not thrown away."""
    edit(patched)
    run_git(patched.tree, "commit", "--quiet", "--all", "--message", "Mine\n\nPatch-Name: mine.patch")
    run_git(patched.tree, "reset", "--quiet", "--hard", "HEAD^")
    (patched.tree / ".git" / "rebase-merge").mkdir()
    ran = patched.run("patch")
    assert ran.code == UnsavedWork.exit_code
    assert "a git rebase in progress" in ran.err


VERBS = [("refresh",), ("refresh", "--into", PATCHES[0]), ("new-patch",), ("refresh", "--accept-moved")]


def stop_a_rebase(checkout: Checkout) -> None:
    """An author's `git rebase --interactive` that stopped at the second of four patches."""
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i '2s/^pick/edit/'"}
    run_git(checkout.tree, "rebase", "--interactive", UPSTREAM_TAG, settings=editor)
    assert (checkout.tree / ".git" / "rebase-merge").is_dir()


def stop(checkout: Checkout, command: str) -> None:
    """Another git command of an author's that waits for an answer, or a HEAD that is on no branch."""
    if command == "checkout":
        run_git(checkout.tree, "checkout", "--quiet", "--detach", "HEAD^")
        return
    checkout.edit_tree("tiny_app/late.py", "number * 2", "number * 4")
    run_git(checkout.tree, "commit", "--quiet", "--all", "--amend", "--no-edit")
    arguments = {"am": [], "revert": ["--no-edit", "HEAD@{1}"]}.get(command, ["HEAD@{1}"])
    mail = run_git(checkout.tree, "format-patch", "--stdout", "-1", "HEAD@{1}").stdout
    done = run_git(checkout.tree, command, *arguments, stdin=mail, check=False)
    assert done.returncode != 0


def state_of(checkout: Checkout) -> tuple[object, ...]:
    """What must not change: the series, HEAD, the edits, and the rebase's own list."""
    tree = checkout.tree
    todo = tree / ".git" / "rebase-merge" / "git-rebase-todo"
    return (
        checkout.snapshot("patches", "docs"),
        git_text(tree, "rev-parse", "HEAD"),
        git_text(tree, "diff", "HEAD"),
        todo.exists() and todo.read_text(),
    )


def run_verb(checkout: Checkout, verb: tuple[str, ...]) -> Ran:
    return new_patch(checkout) if verb == ("new-patch",) else checkout.run(*verb)


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_exported_in_the_middle_of_a_rebase(
    patched: Checkout, verb: tuple[str, ...], edited: bool
) -> None:
    """What a rebase that stopped has still to replay is no patch that was dropped."""
    stop_a_rebase(patched)
    if edited:
        edit(patched)
    before = state_of(patched)
    ran = run_verb(patched, verb)
    assert ran.code == UnsavedWork.exit_code
    assert "a git rebase in progress" in ran.err
    assert "git rebase --continue" in ran.err
    assert state_of(patched) == before
    if not edited:
        run_git(patched.tree, "rebase", "--continue")
        assert patched.succeed("refresh").out == "the series is what the tree holds\n"


def test_a_fold_ends_no_rebase_but_its_own(patched: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a fold meet an author's rebase after all, the rebase goes on and the edit is still there."""
    stop_a_rebase(patched)
    edit(patched)
    before = state_of(patched)
    monkeypatch.setattr(authoring, "refuse_unfinished", lambda tree: None)
    with pytest.raises(InvalidSeries):
        authoring.fold_into(Tree(patched.tree), patched.patches, PATCHES[0])
    assert state_of(patched) == before


def test_a_fold_that_was_done_is_not_taken_back(patched: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C when git had just done it leaves the patch with the edit, and no half of it."""
    edit(patched)
    genuine = authoring.run_git

    def stop_after(tree: Path, *arguments: str, **options: object) -> object:
        done = genuine(tree, *arguments, **options)  # type: ignore[arg-type]
        if "--autosquash" in arguments:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(authoring, "run_git", stop_after)
        assert patched.run("refresh", "--into", PATCHES[0]).code == 130
    assert git_text(patched.tree, "status", "--porcelain") == ""
    patched.succeed("refresh")
    assert "+    return 11" in (patched.patches / PATCHES[0]).read_text()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("command", ["am", "cherry-pick", "revert", "merge", "checkout"])
def test_nothing_is_exported_while_git_waits(patched: Checkout, command: str, verb: tuple[str, ...]) -> None:
    """Nor while another command of git's waits for its author, nor from a HEAD that is on no branch."""
    stop(patched, command)
    before = state_of(patched)
    ran = run_verb(patched, verb)
    assert ran.code == UnsavedWork.exit_code
    assert "is in the middle of a change of its commits" in ran.err
    assert state_of(patched) == before


def test_clean_keeps_what_is_not_the_builds(built: Checkout) -> None:
    """`clean` removes the tree and the state, and neither dist/, nor downloads, nor other things."""
    other = built.root / ".build" / "env-x"
    other.mkdir()
    dist = built.snapshot("dist")
    built.succeed("clean")
    assert not built.line.exists()
    assert other.is_dir()
    assert built.snapshot("dist") == dist
    built.succeed("clean")
    built.succeed("dist")
    assert built.snapshot("dist") == dist


def test_clean_tree_keeps_the_rest(built: Checkout) -> None:
    """`clean --tree` removes the tree alone, with any work in it."""
    edit(built)
    built.succeed("clean", "--tree")
    assert not built.tree.exists()
    assert (built.line / "dist.json").exists()
