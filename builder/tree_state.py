"""The patched tree on disk, and the notes that the builder keeps in its `.git`.

Everything here only reads and writes those notes: what makes the tree is in
builder.tree, what guards an author's work in it in builder.author_work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from builder.errors import UnsavedWork
from builder.series import SERIES_FILE, series_names
from builder.workspace import file_sha256, write_atomic

BUILDER = "builder@build.invalid"
UPSTREAM_TAG = "upstream"
# Present while the builder itself changes the tree: a build that is killed leaves it.
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
        return _read(self, _PENDING).split()

    @property
    def cut_short(self) -> bool:
        """Whether a build ended while it was changing the tree."""
        return (self.git_folder / _BUSY).exists()

    @property
    def sources(self) -> str:
        """The digest of what was unpacked."""
        return _read(self, _SOURCES)

    @property
    def exported(self) -> frozenset[str]:
        """The ids of the commits that the series holds."""
        return frozenset(_read(self, _EXPORTED).split())


def _read(tree: Tree, name: str) -> str:
    path = tree.git_folder / name
    return path.read_text("utf-8") if path.exists() else ""


def mark_busy(tree: Tree, busy: bool) -> None:
    """Say that the builder begins, or has ended, to change the tree."""
    marker = tree.git_folder / _BUSY
    if busy:
        marker.touch()
    else:
        marker.unlink(missing_ok=True)


def mark_pending(tree: Tree, names: Iterable[str]) -> None:
    """Note the patches that a conflict keeps from being applied."""
    text = "".join(f"{name}\n" for name in names)
    if text:
        write_atomic(tree.git_folder / _PENDING, text)
    else:
        (tree.git_folder / _PENDING).unlink(missing_ok=True)


def mark_sources(tree: Tree, sources: str) -> None:
    """Note what was unpacked."""
    write_atomic(tree.git_folder / _SOURCES, sources)


def mark_exported(tree: Tree, commits: Iterable[str]) -> None:
    """Remember commits that the series now holds: they are no unsaved work any more."""
    write_atomic(tree.git_folder / _EXPORTED, "".join(f"{commit}\n" for commit in commits))


def remember_series(tree: Tree, directory: Path) -> None:
    """Note the series' files, as they are now that the tree agrees with them."""
    write_atomic(tree.git_folder / _SERIES, _series_state(directory))


def refuse_changed_series(tree: Tree, directory: Path) -> None:
    """Raise UnsavedWork if exporting the tree would undo an edit of the series' files."""
    if tree.cut_short:
        raise UnsavedWork(f"the last build did not end its work in {tree.path}", next_step="./build.py patch")
    known = _read(tree, _SERIES)
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
