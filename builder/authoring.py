"""What a patch author does: export the tree's commits, add a patch, fold a change in."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from builder.author_work import rebase_in_progress, refuse_unfinished
from builder.errors import InvalidSeries, UnsavedWork
from builder.git import git_text, run_git
from builder.series import SERIES_FILE, patch_faults, read_patch, series_names
from builder.tree import Exported, exported, require_names
from builder.tree_state import UPSTREAM_TAG, Tree, mark_exported, refuse_changed_series, remember_series
from builder.workspace import write_atomic


def refresh(tree: Tree, directory: Path) -> list[str]:
    """Write the tree's commits as the series; says what became of each patch.

    Patches that a conflict kept out of the tree stay in the series, at its end.
    Raises UnsavedWork while the tree has changes that are in no commit, in the
    middle of a rebase, and if the series was edited since the tree was made.
    """
    _require_settled(tree, directory)
    changed = git_text(tree.path, "status", "--porcelain")
    if changed:
        raise UnsavedWork(
            f"{tree.path} has changes that are in no commit",
            detail=changed,
            next_step="./build.py new-patch NAME …, or ./build.py refresh --into NAME",
        )
    commits = exported(tree)
    require_names(commits)
    _refuse_duplicates(commits)
    _refuse_faulty(commits)
    report = _write_series(directory, commits, tree.pending)
    mark_exported(tree, [commit.commit for commit in commits])
    remember_series(tree, directory)
    return report


def _require_settled(tree: Tree, directory: Path) -> None:
    """Raise UnsavedWork unless HEAD is what the author means, and the series is what HEAD was made of."""
    refuse_unfinished(tree)
    refuse_changed_series(tree, directory)


def _refuse_duplicates(commits: Sequence[Exported]) -> None:
    names = [commit.name for commit in commits]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidSeries(
            "two commits in the tree are the same patch",
            detail="\n".join(twice),
            next_step=f"git rebase --interactive {UPSTREAM_TAG}, and squash them or rename one",
        )


def _refuse_faulty(commits: Sequence[Exported]) -> None:
    faults = [f"{commit.name}: {fault}" for commit in commits for fault in patch_faults(commit.patch)]
    if faults:
        raise InvalidSeries(
            "commits in the tree would make faulty patches",
            detail="\n".join(faults),
            next_step=f"git rebase --interactive {UPSTREAM_TAG}, reword or split them; then ./build.py refresh",
        )


def _write_series(directory: Path, commits: Sequence[Exported], pending: Sequence[str]) -> list[str]:
    names = [commit.name for commit in commits]
    kept = [name for name in pending if name not in names]
    report = []
    for commit in commits:
        path = directory / commit.name
        raw = commit.text.encode("utf-8", "surrogateescape")
        before = path.read_bytes() if path.exists() else None
        if before != raw:
            write_atomic(path, raw)
            report.append(f"{'added' if before is None else 'refreshed'}: {commit.name}")
    before_names = series_names(directory)
    _rewrite_series_file(directory, names + kept)
    for path in sorted(directory.glob("*.patch")):
        if path.name not in names and path.name not in kept and path.name in before_names:
            path.unlink()
            report.append(f"removed: {path.name}")
    return report + [f"not applied yet: {name}" for name in kept]


def _rewrite_series_file(directory: Path, names: Sequence[str]) -> None:
    """Keep the file's comments where the order of the patches did not change."""
    path = directory / SERIES_FILE
    if series_names(directory) != list(names):
        lines = path.read_text("utf-8").splitlines()
        heading = lines[: _first_name(lines)]
        write_atomic(path, "".join(f"{line}\n" for line in [*heading, *names]))


def _first_name(lines: Sequence[str]) -> int:
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            return number
    return len(lines)


def new_patch(
    tree: Tree, directory: Path, name: str, subject: str, reason: str, fields: dict[str, str]
) -> None:
    """Commit the tree's changes as a new patch at the end of the series.

    Raises InvalidSeries, with the changes still in the tree, for a header or a
    change that could be no patch.
    """
    _require_settled(tree, directory)
    if name in {commit.name for commit in exported(tree)} | set(tree.pending):
        raise InvalidSeries(f"there is a patch {name} already", next_step=f"./build.py refresh --into {name}")
    _require_changes(tree)
    header = "\n".join(f"{field}: {value}" for field, value in [*fields.items(), ("Patch-Name", name)])
    subject, reason = subject.strip(), reason.strip()
    _commit_all(tree, f"{subject}\n\n{reason}\n\n{header}\n")
    made = exported(tree)[-1]
    faults = patch_faults(replace(made.patch, subject=subject, reason=reason, fields=fields))
    if faults:
        _take_back(tree)
        raise InvalidSeries(
            f"this would be a faulty patch: {name}",
            detail="\n".join(faults),
            next_step="mend the command or the change, which is still in the tree, and run it again",
        )


def _commit_all(tree: Tree, message: str) -> None:
    run_git(tree.path, "add", "--all")
    run_git(tree.path, "commit", "--quiet", "--no-verify", "--file=-", stdin=message.encode())


def _take_back(tree: Tree, commit: str = "HEAD") -> None:
    """Undo a commit of ours; its changes stay in the tree."""
    run_git(tree.path, "reset", "--quiet", "--mixed", f"{commit}^")


def fold_into(tree: Tree, directory: Path, name: str) -> None:
    """Make the tree's changes part of a patch that is there already.

    A patch that a conflict kept out of the tree is made of the changes, with
    the header that it had. Raises InvalidSeries, with the changes still in the
    tree, if a later patch no longer applies on top of them.
    """
    _require_settled(tree, directory)
    _require_changes(tree)
    targets = [commit.commit for commit in exported(tree) if commit.name == name]
    if targets:
        _squash_into(tree, targets[0], name)
    elif name in tree.pending[:1]:
        _commit_all(tree, f"{read_patch(directory / name).message}Patch-Name: {name}\n")
    else:
        raise InvalidSeries(
            f"no patch in the tree is called {name}",
            detail="\n".join(f"not applied yet: {other}" for other in tree.pending),
            next_step="name one of the series that is applied, or the first that is not",
        )


def _squash_into(tree: Tree, target: str, name: str) -> None:
    foreign = rebase_in_progress(tree)
    # By its id: two patches may have the same subject.
    _commit_all(tree, f"fixup! {target}\n")
    folded = git_text(tree.path, "rev-parse", "HEAD")
    try:
        run_git(
            tree.path, "rebase", "--quiet", "--interactive", "--autosquash", UPSTREAM_TAG,
            settings={"GIT_SEQUENCE_EDITOR": "true", "GIT_EDITOR": "true"},
        )  # fmt: skip
    except BaseException as error:
        # An author's own rebase is not ours to end, nor any other commit ours to take back.
        if not foreign and rebase_in_progress(tree):
            run_git(tree.path, "rebase", "--abort", check=False)
        if git_text(tree.path, "rev-parse", "HEAD") == folded:
            _take_back(tree, folded)
        if not isinstance(error, subprocess.CalledProcessError):
            raise
        raise InvalidSeries(
            f"the change cannot be folded into {name}",
            detail=error.stderr.decode("utf-8", "replace"),
            cause="a later patch changes the same lines",
            next_step=f"in {tree.path}: git rebase --interactive {UPSTREAM_TAG}, by hand; then ./build.py refresh",
        ) from None


def _require_changes(tree: Tree) -> None:
    changed = git_text(tree.path, "status", "--porcelain", "--untracked-files=all")
    rejects = [line[3:] for line in changed.splitlines() if line.endswith(".rej")]
    if rejects:
        raise InvalidSeries(
            f"{tree.path} holds rejected hunks",
            detail="\n".join(rejects),
            next_step="make their changes by hand, delete the *.rej files, and run the same command again",
        )
    if not changed:
        raise InvalidSeries(f"{tree.path} has no change to make a patch of", next_step="edit the tree first")
