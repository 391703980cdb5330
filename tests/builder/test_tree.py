"""Tests of builder.tree and builder.reject: series applied exactly, or not at all."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_release import (
    EPOCH,
    PATCHES,
    SAMPLES,
    Checkout,
    Member,
    fill_cache,
    pins,
    read_folder,
    sdist,
    tar_gz,
)

from builder.errors import PatchConflict, UnsavedWork
from builder.git import git_text, run_git
from builder.release import Release, load_release
from builder.series import Patch, Series, load_series, patch_text
from builder.tree import exported, make_tree
from builder.tree_state import UPSTREAM_TAG, Tree


def commits(checkout: Checkout) -> list[str]:
    """The ids of the tree's commits, oldest first."""
    return git_text(checkout.tree, "log", "--reverse", "--format=%H").splitlines()


def test_the_tree_is_upstream_and_a_commit_a_patch(patched: Checkout) -> None:
    """The first commit is the release as it was, and each next one is a patch to the byte."""
    tree = Tree(patched.tree)
    for name, raw in read_folder(SAMPLES / "upstream" / "1.0").items():
        assert run_git(patched.tree, "show", f"{UPSTREAM_TAG}:{name}").stdout == raw
    for commit, name in zip(exported(tree), PATCHES, strict=True):
        assert commit.name == name
        assert commit.text == (patched.patches / name).read_text("utf-8")
    assert "33" in (patched.tree / "tiny_app/extra.py").read_text()


def test_equal_trees_have_equal_ids(
    patched: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the user's git configuration nor the time is in the tree."""
    (tmp_path / "home" / ".gitconfig").write_text(
        "[core]\nautocrlf = true\n[diff]\nnoprefix = true\nalgorithm = patience\ncontext = 9\n"
        "[commit]\ngpgSign = true\n[apply]\nwhitespace = fix\n[user]\nname = Somebody\nemail = else@example.org\n"
    )
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2001-01-01T00:00:00")
    before = commits(patched)
    patched.succeed("clean")
    patched.succeed("patch")
    assert commits(patched) == before
    assert git_text(patched.tree, "log", "-1", "--format=%ct", UPSTREAM_TAG) == str(EPOCH)


def test_only_what_changed_is_applied_anew(patched: Checkout) -> None:
    """A patch that changed leaves the commits before it as they are."""
    before = commits(patched)
    patched.edit("patches/1.0/third-is-more.patch", "+    return 33", "+    return 333")
    patched.succeed("patch")
    after = commits(patched)
    assert after[:3] == before[:3]
    assert not set(after[3:]) & set(before)
    assert "333" in (patched.tree / "tiny_app/extra.py").read_text()


def test_a_dropped_patch_leaves_the_tree(patched: Checkout) -> None:
    """The series is what the tree holds, after every build."""
    (patched.patches / "third-is-more.patch").unlink()
    patched.edit("patches/1.0/series", "third-is-more.patch\n", "")
    patched.succeed("patch")
    assert "33" not in (patched.tree / "tiny_app/extra.py").read_text()


def test_a_new_sdist_makes_a_new_tree(patched: Checkout, surroundings: Path) -> None:
    """Other sources are unpacked anew; nothing of the old ones is left."""
    (patched.tree / "tiny_app" / "__pycache__").mkdir()
    raw = sdist("1.0", [Member("tiny-app-1.0/NEWS", b"news")])
    fill_cache(surroundings / "cache", {"tiny-app-1.0.tar.gz": raw})
    (patched.patches / "upstream.toml").write_text(pins(tree=raw), "utf-8")
    patched.succeed("patch")
    assert (patched.tree / "NEWS").read_bytes() == b"news"
    assert not (patched.tree / "tiny_app" / "__pycache__").exists()


def break_patch(checkout: Checkout) -> None:
    """Make the third patch expect another line than upstream has."""
    checkout.edit("patches/1.0/third-is-more.patch", "-    return 3\n", "-    return 3.0\n")


def test_a_patch_that_does_not_apply(checkout: Checkout) -> None:
    """The message names patch, file and hunk, shows the reject, and ends with 16; no output is made."""
    break_patch(checkout)
    ran = checkout.run("dist")
    assert ran.code == PatchConflict.exit_code == 16
    assert "third-is-more.patch does not apply: tiny_app/extra.py, hunk 1" in ran.err
    assert "-    return 3.0" in ran.err
    assert "+    return 33" in ran.err
    assert "usual cause: upstream changed these lines" in ran.err
    assert f"refresh --into {PATCHES[2]}" in ran.err
    assert checkout.snapshot("dist") == {}
    assert checkout.series == list(PATCHES)
    assert git_text(checkout.tree, "status", "--porcelain") == ""


def test_the_next_command_works_as_it_is_printed(checkout: Checkout) -> None:
    """What is printed after a conflict, followed to the letter, mends the patch and applies the rest."""
    break_patch(checkout)
    before = checkout.patches / "third-is-more.patch"
    header = before.read_text("utf-8").partition("\n---\n")[0]
    ran = checkout.run("patch")
    [line] = [line for line in ran.err.splitlines() if line.startswith("next: ")]
    apply, by_hand, refresh = line.removeprefix("next: ").split("; ")
    assert "by hand and delete the *.rej files" in by_hand
    assert subprocess.run(shlex.split(apply), capture_output=True, check=False).returncode == 1
    reject = checkout.tree / "tiny_app" / "extra.py.rej"
    assert "+    return 33" in reject.read_text()
    into, rest = refresh.removeprefix("then ").split(", and ")
    refused = checkout.run(*shlex.split(into)[1:])
    assert "holds rejected hunks" in refused.err, refused.err
    reject.unlink()
    checkout.edit_tree("tiny_app/extra.py", "return 3\n", "return 33\n")
    checkout.succeed(*shlex.split(into)[1:])
    assert before.read_text("utf-8").partition("\n---\n")[0] == header
    assert "-    return 3\n+    return 33\n" in before.read_text("utf-8")
    assert checkout.series == list(PATCHES)
    checkout.succeed(*rest.removesuffix(" for the rest").split()[1:])
    checkout.succeed("check")


def test_a_patch_that_upstream_has_already(checkout: Checkout) -> None:
    """The message says so, and what it tells to do works."""
    checkout.edit("patches/1.0/double-by-two.patch", "return number + 2", "return swap")
    checkout.edit("patches/1.0/double-by-two.patch", "return number * 2", "return number + 2")
    checkout.edit("patches/1.0/double-by-two.patch", "return swap", "return number * 2")
    ran = checkout.run("patch")
    assert ran.code == PatchConflict.exit_code
    assert "the release has this change already" in ran.err
    path = checkout.patches / "double-by-two.patch"
    assert f"next: delete {path} and its line in the series, then ./build.py patch" in ran.err
    path.unlink()
    checkout.edit("patches/1.0/series", "double-by-two.patch\n", "")
    checkout.succeed("patch")


def test_fuzz_is_never_allowed(checkout: Checkout) -> None:
    """A patch whose context differs by a line is refused, and the message says that it is fuzz."""
    checkout.edit("patches/1.0/third-is-more.patch", " def fourth():", " def fifth():")
    ran = checkout.run("patch")
    assert ran.code == PatchConflict.exit_code
    assert "it would apply with fuzz, which this project never allows" in ran.err


def test_a_moved_hunk_is_refused_until_it_is_accepted(checkout: Checkout) -> None:
    """A hunk that applies at other lines is no exact one: accepted, it is written as git exports it."""
    path = checkout.patches / "third-is-more.patch"
    exact = path.read_bytes()
    checkout.edit("patches/1.0/third-is-more.patch", "@@ -10,7 +10,7 @@", "@@ -7,7 +7,7 @@")
    ran = checkout.run("patch")
    assert ran.code == PatchConflict.exit_code
    assert "third-is-more.patch applies, but is not what git would export" in ran.err
    assert "@@ -7,7 +7,7 @@" in ran.err
    assert "@@ -10,7 +10,7 @@" in ran.err
    assert "next: ./build.py refresh --accept-moved" in ran.err
    assert checkout.run("refresh").code == 0
    assert b"@@ -7,7" in path.read_bytes(), "a plain refresh must leave it"
    checkout.succeed("refresh", "--accept-moved")
    assert path.read_bytes() == exact
    checkout.succeed("check")


def test_a_fresh_refresh_accepts_nothing_unasked(checkout: Checkout) -> None:
    """Without a tree, refresh makes one, and refuses a moved hunk as a build does."""
    checkout.edit("patches/1.0/third-is-more.patch", "@@ -10,7 +10,7 @@", "@@ -7,7 +7,7 @@")
    before = checkout.snapshot("patches")
    assert checkout.run("refresh").code == PatchConflict.exit_code
    assert checkout.snapshot("patches") == before


def test_an_uncommitted_edit_is_never_thrown_away(patched: Checkout) -> None:
    """A build refuses with 23, names what it found, and leaves it."""
    patched.edit_tree("tiny_app/extra.py", "return 1", "return 11")
    (patched.tree / "tiny_app" / "new.py").write_text("x = 1\n")
    for verb in ("patch", "dist", "clean"):
        ran = patched.run(verb)
        assert ran.code == UnsavedWork.exit_code == 23
        assert "changed: tiny_app/extra.py" in ran.err
        assert "changed: tiny_app/new.py" in ran.err
        assert "./build.py clean --tree, to throw it away" in ran.err
    assert "return 11" in (patched.tree / "tiny_app/extra.py").read_text()
    patched.succeed("clean", "--tree")
    patched.succeed("patch")


def test_an_authors_commit_is_never_thrown_away(patched: Checkout) -> None:
    """A commit that no patch file holds is work, too."""
    patched.edit_tree("tiny_app/extra.py", "return 1", "return 11")
    run_git(patched.tree, "commit", "--quiet", "--all", "--message", "Mine")
    ran = patched.run("patch")
    assert ran.code == UnsavedWork.exit_code
    assert "committed: Mine" in ran.err


def set_aside(checkout: Checkout, how: str) -> str:
    """An author's work that is neither in the tree's files nor below HEAD; returns how it is told."""
    checkout.edit_tree("tiny_app/extra.py", "return 1\n", "return 11\n")
    if how == "stash":
        run_git(checkout.tree, "stash", "push", "--message", "Mine")
        return "stashed: stash@{0}: On main: Mine"
    run_git(checkout.tree, "switch", "--quiet", "--create", "mine/too")
    for subject in ("Earlier", "Mine"):
        run_git(checkout.tree, "commit", "--quiet", "--all", "--allow-empty", "--message", subject)
    run_git(checkout.tree, "switch", "--quiet", "main")
    return "on branch mine/too: 2 commit(s), the last: Mine"


@pytest.mark.parametrize("how", ["stash", "branch"])
def test_work_that_was_set_aside_is_never_thrown_away(
    patched: Checkout, surroundings: Path, how: str
) -> None:
    """What only a removal of the tree would lose stops `clean` and a changed pin, and no other build."""
    told = set_aside(patched, how)
    patched.edit("patches/1.0/third-is-more.patch", "+    return 33", "+    return 333")
    patched.succeed("patch")
    patched.succeed("refresh")
    raw = sdist("1.0", [Member("tiny-app-1.0/NEWS", b"news")])
    fill_cache(surroundings / "cache", {"tiny-app-1.0.tar.gz": raw})
    ran = patched.run("clean")
    assert ran.code == UnsavedWork.exit_code
    assert told in ran.err
    (patched.patches / "upstream.toml").write_text(pins(tree=raw), "utf-8")
    ran = patched.run("patch")
    assert ran.code == UnsavedWork.exit_code
    assert told in ran.err
    patched.succeed("clean", "--tree")
    patched.succeed("patch")


def test_a_branch_that_holds_nothing_of_an_authors_is_no_work(patched: Checkout) -> None:
    """Neither is one of the builder's commits, nor one that was fetched from elsewhere."""
    run_git(patched.tree, "branch", "builders", "HEAD^")
    set_aside(patched, "branch")
    run_git(patched.tree, "update-ref", "refs/remotes/elsewhere/mine", "mine/too")
    patched.succeed("clean")


def test_byte_code_in_the_tree_is_no_work(patched: Checkout) -> None:
    """To run the tree is no edit of it."""
    cache = patched.tree / "tiny_app" / "__pycache__"
    cache.mkdir()
    (cache / "core.cpython-311.pyc").write_bytes(b"x")
    patched.succeed("patch")


def test_a_tree_below_a_work_tree_of_ours(checkout: Checkout) -> None:
    """`git apply` below another work tree changes nothing, silently: the tree is a repository of its own."""
    run_git(checkout.root, "init", "--quiet")
    (checkout.root / ".gitignore").write_text("/.build/\n*.py\n")
    checkout.succeed("patch")
    assert Path(git_text(checkout.tree, "rev-parse", "--show-toplevel")).resolve() == checkout.tree.resolve()
    assert "33" in (checkout.tree / "tiny_app/extra.py").read_text()


# Three at the most: past that a patch would have to say why it is so large.
_NAMES = st.sampled_from(["a.py", "b/ü x.txt", "b/quo'te"])
_LINES = [
    *[
        "",
        "x",
        "y = 1",
        "\tz",
        "trailing ",
        "ü",
        "-- ",
        "\f",
        "cr\r",
        "\u2028",
        "\\ No newline at end of file",
    ],
    *["--- a/x", "+++ b/y", "@@ -1 +1 @@", "diff --git a/x b/x", "index 12345..67890"],
]
_CONTENT = st.lists(st.sampled_from(_LINES), max_size=12)
_FILES = st.dictionaries(_NAMES, st.tuples(_CONTENT, st.booleans()), max_size=4)


def lay(tree: Path, files: dict[str, tuple[list[str], bool]]) -> None:
    for path in [p for p in tree.iterdir() if p.name not in (".git", "always")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, (lines, ended) in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(("\n".join(lines) + ("\n" if ended and lines else "")).encode())


def release_of(folder: Path) -> Release:
    (folder / "1.0").mkdir()
    (folder / "1.0" / "upstream.toml").write_text(pins())
    return load_release(folder / "1.0")


def commit_each(tree: Tree, states: Sequence[dict[str, tuple[list[str], bool]]]) -> list[str]:
    """Make a commit of each state as an author would; those that change nothing are left out."""
    names = []
    for number, state in enumerate(states):
        lay(tree.path, state)
        run_git(tree.path, "add", "--all")
        if git_text(tree.path, "status", "--porcelain"):
            name = f"change-{number}.patch"
            message = (
                f"Change {number}\n\nBecause.\n\nForwarded: no\nRemoval: no\nTest: t\nPatch-Name: {name}\n"
            )
            run_git(tree.path, "commit", "--quiet", "--file=-", stdin=message.encode())
            names.append(name)
    return names


@settings(max_examples=10)
@given(_FILES, st.lists(_FILES, min_size=1, max_size=2))
def test_what_is_exported_applies_to_the_same_bytes(
    upstream: dict[str, tuple[list[str], bool]], states: list[dict[str, tuple[list[str], bool]]]
) -> None:
    """Edits of any text, exported as patches and applied to fresh sources, give the same files and patches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = release_of(folder)
        lay_source = folder / "source"
        lay_source.mkdir()
        lay(lay_source, upstream)
        members = [Member("tiny-app-1.0/always", b"")]
        members += [Member(f"tiny-app-1.0/{path}", raw) for path, raw in read_folder(lay_source).items()]
        archive = folder / release.trees[0].file
        archive.write_bytes(tar_gz(members))
        archives = {archive.name: archive}
        directory = folder / "1.0"
        (directory / "series").write_text("")
        tree = make_tree(folder / "one", release, Series(directory, ()), archives)
        names = commit_each(tree, states)
        patches: list[Patch] = [commit.patch for commit in exported(tree)]
        assert [patch.name for patch in patches] == names
        for patch in patches:
            (directory / patch.name).write_bytes(patch_text(patch).encode("utf-8", "surrogateescape"))
        (directory / "series").write_text("".join(f"{name}\n" for name in names))
        series = load_series(directory)
        again = make_tree(folder / "two", release, series, archives)
        assert files_of(again.path) == files_of(tree.path)
        assert [commit.text for commit in exported(again)] == [patch_text(patch) for patch in patches]


def files_of(tree: Path) -> dict[str, bytes]:
    return {name: raw for name, raw in read_folder(tree).items() if not name.startswith(".git/")}
