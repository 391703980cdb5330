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

from builder.errors import InvalidSeries, PatchConflict, UnsavedWork
from builder.git import git_text, run_git
from builder.reject import describe_failure
from builder.release import Release
from builder.series import SERIES_FILE, Patch, Series, parse_message, patch_text, series_names, valid_name
from builder.unpack import unpack_sources
from builder.workspace import digest, file_sha256, scratch_folder, storage, write_atomic

BUILDER = "builder@build.invalid"
UPSTREAM_TAG = "upstream"
# Present while the builder itself changes the tree: what a killed build left is then ours to discard.
_BUSY = "builder-busy"
_PENDING = "builder-pending"
_SOURCES = "builder-sources"
_EXPORTED = "builder-exported"
# What the series was when the tree last agreed with it: a refresh must not undo a later edit.
_SERIES = "builder-series"


@dataclass(frozen=True, slots=True)
class Tree:
    """An unpacked release on disk, below it its own `.git`."""

    path: Path

    @property
    def git_folder(self) -> Path:
        return self.path / ".git"

    @property
    def pending(self) -> list[str]:
        """Names of the patches that a conflict kept from being applied."""
        path = self.git_folder / _PENDING
        return path.read_text("utf-8").split() if path.exists() else []

    @property
    def cut_short(self) -> bool:
        """Whether a build ended while it was changing the tree."""
        return (self.git_folder / _BUSY).exists()


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
        recover(tree)
        refuse_unsaved(tree)
    if not _same_sources(tree, sources):
        _unpack(tree, release, archives, sources)
    busy = tree.git_folder / _BUSY
    busy.touch()
    try:
        _apply_series(tree, series, release.source_epoch, exact)
    except PatchConflict:
        # The tree is whole, and stands just before that patch. After any other
        # failure, a Ctrl-C among them, it may not be: the next run sees to it.
        remember_series(tree, series.directory)
        busy.unlink()
        raise
    remember_series(tree, series.directory)
    busy.unlink()
    return tree


def _same_sources(tree: Tree, sources: str) -> bool:
    marker = tree.git_folder / _SOURCES
    return marker.exists() and marker.read_text("utf-8") == sources


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
        write_atomic(fresh.git_folder / _SOURCES, sources)
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


def recover(tree: Tree) -> None:
    """Discard what a killed build left behind; an author's work it never is."""
    if tree.cut_short:
        for lock in tree.git_folder.rglob("*.lock"):
            lock.unlink()
        run_git(tree.path, "reset", "--quiet", "--hard", "HEAD")
        run_git(tree.path, "clean", "--quiet", "-d", "--force")
        (tree.git_folder / _BUSY).unlink()


def unsaved_work(tree: Tree) -> list[str]:
    """What the tree holds that only an author can have made."""
    found = [f"changed: {line[3:]}" for line in git_text(tree.path, "status", "--porcelain").splitlines()]
    saved = (
        (tree.git_folder / _EXPORTED).read_text("utf-8").split()
        if (tree.git_folder / _EXPORTED).exists()
        else []
    )
    log = git_text(tree.path, "log", "--format=%H%x09%ce%x09%s", f"{UPSTREAM_TAG}..HEAD")
    for commit, committer, subject in (line.split("\t", 2) for line in log.splitlines()):
        if committer != BUILDER and commit not in saved:
            found.append(f"committed: {subject}")
    if any((tree.git_folder / name).exists() for name in ("rebase-merge", "rebase-apply")):
        found.append("a git rebase in progress")
    return found


def refuse_unsaved(tree: Tree) -> None:
    """Raise UnsavedWork if the tree holds an author's work."""
    found = unsaved_work(tree)
    if found:
        raise UnsavedWork(
            f"{tree.path} holds work that the series does not",
            detail="\n".join(found),
            cause="a patch was being written there",
            next_step="./build.py new-patch or refresh, to keep it; ./build.py clean --tree, to throw it away",
        )


def _apply_series(tree: Tree, series: Series, epoch: int, exact: bool) -> None:
    applied = exported(tree)
    wanted = list(series)
    same = 0
    while same < min(len(applied), len(wanted)) and patch_text(wanted[same]) == applied[same].text:
        same += 1
    if same < len(applied):
        target = applied[same - 1].commit if same else UPSTREAM_TAG
        run_git(tree.path, "reset", "--quiet", "--hard", target)
    (tree.git_folder / _PENDING).unlink(missing_ok=True)
    for place in range(same, len(wanted)):
        try:
            _apply(tree, series.directory / wanted[place].name, wanted[place], epoch)
        except PatchConflict:
            rest = [patch.name for patch in wanted[place:]]
            write_atomic(tree.git_folder / _PENDING, "\n".join(rest) + "\n")
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
            write_atomic(
                tree.git_folder / _PENDING, "\n".join(p.name for p in wanted[wanted.index(patch) :]) + "\n"
            )
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


def mark_exported(tree: Tree, commits: list[Exported]) -> None:
    """Remember commits that the series now holds: they are no unsaved work any more."""
    write_atomic(tree.git_folder / _EXPORTED, "".join(f"{commit.commit}\n" for commit in commits))


def remember_series(tree: Tree, directory: Path) -> None:
    """Note the series' files, as they are now that the tree agrees with them."""
    write_atomic(tree.git_folder / _SERIES, _series_state(directory))


def refuse_changed_series(tree: Tree, directory: Path) -> None:
    """Raise UnsavedWork if exporting the tree would undo an edit of the series' files."""
    if tree.cut_short:
        raise UnsavedWork(f"the last build did not end its work in {tree.path}", next_step="./build.py patch")
    path = tree.git_folder / _SERIES
    known = path.read_text("utf-8") if path.exists() else ""
    now = _series_state(directory)
    if known not in ("", now):
        changed = sorted(set(known.splitlines()) ^ set(now.splitlines()))
        raise UnsavedWork(
            f"{directory} was edited after {tree.path} was made",
            detail="\n".join(dict.fromkeys(line.split("  ", 1)[1] for line in changed)) or SERIES_FILE,
            cause="a patch that was added, dropped or edited by hand, or that came with a git pull",
            next_step="./build.py patch, and run the same command again; if it says that the tree holds work,"
            " put the edit aside first (git stash) and bring it back afterwards",
        )


def _series_state(directory: Path) -> str:
    names = series_names(directory)
    return "".join(
        f"{file_sha256(directory / name) if (directory / name).is_file() else '-'}  {name}\n"
        for name in names
    )


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
