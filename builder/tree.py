"""The patched tree: unpacked sources in a git repository, a commit a patch.

The tree is a repository of its own, because `git apply` below another work
tree silently changes nothing. Its first commit is upstream's release (tag
`upstream`); the builder's own commits carry the committer `BUILDER`, so that
a patch author's work is told from them, and is never thrown away.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from builder.author_work import carry_recovered, recover, refuse_unfinished, refuse_unsaved
from builder.errors import InvalidSeries, PatchConflict
from builder.git import git_text, run_git
from builder.reject import describe_failure
from builder.release import Release
from builder.series import Patch, Series, parse_message, patch_text, valid_name
from builder.tree_state import (
    BUILDER,
    UPSTREAM_TAG,
    Tree,
    mark_busy,
    mark_pending,
    mark_sources,
    remember_series,
)
from builder.unpack import unpack_sources
from builder.workspace import digest, scratch_folder, storage, write_atomic


def make_tree(
    path: Path, release: Release, series: Series, archives: dict[str, Path], *, exact: bool = True
) -> Tree:
    """Make or update the patched tree; only what changed is applied anew.

    `archives` has the verified file of each of the release's sources by name.
    With `exact`, a hunk that applies at other lines than it names is refused.
    Raises UnsavedWork rather than lose what an author has not exported yet, and
    PatchConflict for the first patch that does not apply exactly; the tree then
    stands just before that patch.
    """
    tree = Tree(path)
    sources = digest([[source.sha256, source.into] for source in release.trees], release.package)
    if tree.git_folder.is_dir():
        # First: what a killed build left is not cleared away below a rebase of the author's.
        refuse_unfinished(tree)
        recover(tree)
        # Other sources are unpacked anew, and the whole repository goes.
        refuse_unsaved(tree, removal=tree.sources != sources)
    if tree.sources != sources:
        _unpack(tree, release, archives, sources)
    mark_busy(tree, True)
    try:
        _apply_series(tree, series, release.source_epoch, exact)
    except PatchConflict:
        # The tree is whole, and stands just before that patch. After any other
        # failure, a Ctrl-C among them, it may not be: the next run sees to it.
        remember_series(tree, series.directory)
        mark_busy(tree, False)
        raise
    remember_series(tree, series.directory)
    mark_busy(tree, False)
    return tree


def _unpack(tree: Tree, release: Release, archives: dict[str, Path], sources: str) -> None:
    """Unpack aside, commit, and move into place, so that no half tree is ever seen."""
    with scratch_folder(tree.path.parent) as scratch, storage(tree.path):
        fresh = Tree(scratch / "tree")
        unpack_sources(release.trees, archives, fresh.path)
        run_git(fresh.path, "init", "--quiet", ".")
        # The release's own ignore files have no say in what is upstream's.
        write_atomic(fresh.git_folder / "info" / "exclude", f"/{release.package}/\n__pycache__/\n*.pyc\n")
        run_git(fresh.path, "add", "--all", "--force", ".")
        _commit(fresh, f"{release.name} {release.version}\n", release.source_epoch)
        run_git(fresh.path, "tag", UPSTREAM_TAG)
        mark_sources(fresh, sources)
        if tree.git_folder.is_dir():
            carry_recovered(tree, fresh)
        if tree.path.exists():
            tree.path.rename(scratch / "old")
        fresh.path.rename(tree.path)


def _commit(tree: Tree, message: str, epoch: int) -> str:
    """Commit the index with fixed names and times, so that equal trees have equal ids."""
    stamp = f"{epoch} +0000"
    run_git(
        tree.path,
        "commit", "--quiet", "--no-verify", "--allow-empty", "--cleanup=verbatim", "--file=-",
        stdin=message.encode("utf-8", "surrogateescape"),
        settings={
            "GIT_AUTHOR_NAME": "builder", "GIT_AUTHOR_EMAIL": BUILDER, "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": "builder", "GIT_COMMITTER_EMAIL": BUILDER, "GIT_COMMITTER_DATE": stamp,
        },
    )  # fmt: skip
    return git_text(tree.path, "rev-parse", "HEAD")


def _apply_series(tree: Tree, series: Series, epoch: int, exact: bool) -> None:
    applied = exported(tree)
    wanted = list(series)
    same = 0
    while same < min(len(applied), len(wanted)) and patch_text(wanted[same]) == applied[same].text:
        same += 1
    if same < len(applied):
        target = applied[same - 1].commit if same else UPSTREAM_TAG
        run_git(tree.path, "reset", "--quiet", "--hard", target)
    mark_pending(tree, [])
    for place in range(same, len(wanted)):
        try:
            _apply(tree, series.directory / wanted[place].name, wanted[place], epoch)
        except PatchConflict:
            mark_pending(tree, [patch.name for patch in wanted[place:]])
            raise
    if exact:
        _refuse_moved(tree, wanted[same:], exported(tree)[same:])


def _apply(tree: Tree, file: Path, patch: Patch, epoch: int) -> None:
    raw = patch.diff.encode("utf-8", "surrogateescape")
    try:
        # Without -C, git wants every line of context: fuzz 0.
        run_git(tree.path, "apply", "--index", "--whitespace=nowarn", "-", stdin=raw)
    except subprocess.CalledProcessError:
        raise describe_failure(tree.path, file, patch) from None
    _commit(tree, f"{patch.message}Patch-Name: {patch.name}\n", epoch)


def _refuse_moved(tree: Tree, wanted: list[Patch], applied: list[Exported]) -> None:
    """Refuse a patch that applied, but not at the lines that it names.

    An exported commit equals the file to the byte only if no hunk was moved.
    """
    for patch, commit in zip(wanted, applied, strict=True):
        if patch_text(patch) != commit.text:
            run_git(tree.path, "reset", "--quiet", "--hard", f"{commit.commit}^")
            mark_pending(tree, [later.name for later in wanted[wanted.index(patch) :]])
            raise PatchConflict(
                f"{patch.name} applies, but is not what git would export",
                detail=_first_difference(patch_text(patch), commit.text),
                cause="upstream's lines moved, or the file was edited by hand",
                next_step="./build.py refresh --accept-moved, and read the difference before you commit it",
            )


def _first_difference(written: str, export: str) -> str:
    for number, (ours, theirs) in enumerate(zip(written.splitlines(), export.splitlines(), strict=False), 1):
        if ours != theirs:
            return f"line {number} of the file: {ours}\nexported: {theirs}"
    return "one is longer than the other"


@dataclass(frozen=True, slots=True)
class Exported:
    """A commit of the tree as the patch file that it should be."""

    commit: str
    patch: Patch

    @property
    def name(self) -> str:
        return self.patch.name

    @property
    def text(self) -> str:
        return patch_text(self.patch)


def exported(tree: Tree) -> list[Exported]:
    """Every commit since upstream's, oldest first, as patch files."""
    log = run_git(
        tree.path, "log", "--reverse", "--patch", "--no-color", "--no-ext-diff", "--no-textconv",
        "--format=%x00%H%x00%B%x00", f"{UPSTREAM_TAG}..HEAD",
    ).stdout.decode("utf-8", "surrogateescape")  # fmt: skip
    parts = log.split("\0")[1:]
    found = []
    for commit, message, diff in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        subject, reason, fields = parse_message(message)
        name = fields.pop("Patch-Name", "")
        patch = Patch(name, subject, reason, fields, _clean_diff(diff), "")
        found.append(Exported(commit, patch))
    return found


def _clean_diff(diff: str) -> str:
    """A diff without blob ids, which change whenever upstream's file does."""
    kept = []
    in_hunk = False
    for line in diff.lstrip("\n").split("\n"):
        if line.startswith("diff --git "):
            in_hunk = False
        elif line.startswith("@@ "):
            in_hunk = True
        if in_hunk or not line.startswith("index "):
            kept.append(line)
    # `git log` ends each entry but the last with an empty line of its own.
    return "\n".join(kept).rstrip("\n") + "\n"


def require_names(commits: list[Exported]) -> None:
    """Raise InvalidSeries for commits that do not say, or say wrongly, which patch they are."""
    nameless = [
        commit.text.splitlines()[0].removeprefix("Subject: ") + (commit.name and f" ({commit.name})")
        for commit in commits
        if not valid_name(commit.name)
    ]
    if nameless:
        raise InvalidSeries(
            "a commit in the tree does not say which patch it is",
            detail="\n".join(nameless),
            next_step="end its message with a line `Patch-Name: some-words.patch`, or fold it into another commit",
        )
