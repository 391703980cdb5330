"""What an author has in the tree that no patch holds yet: found, and guarded from the builder."""

from __future__ import annotations

from builder.errors import UnsavedWork
from builder.git import git_text, run_git
from builder.tree_state import BUILDER, UPSTREAM_TAG, Tree, mark_busy

# What git keeps in its folder while one of its commands waits for the author.
_UNFINISHED = {
    "rebase-merge": "a git rebase in progress",
    "rebase-apply": "a git rebase or git am in progress",
    "CHERRY_PICK_HEAD": "a git cherry-pick in progress",
    "REVERT_HEAD": "a git revert in progress",
    "MERGE_HEAD": "a git merge in progress",
    "sequencer": "a git cherry-pick or git revert of several commits in progress",
}


def rebase_in_progress(tree: Tree) -> bool:
    """Whether a git rebase has stopped in the tree, or was killed."""
    return any((tree.git_folder / name).exists() for name in ("rebase-merge", "rebase-apply"))


def refuse_unfinished(tree: Tree) -> None:
    """Raise UnsavedWork in the middle of a git command of the author's.

    HEAD is then not what the author means the tree to be: a rebase that stopped
    has still to replay the later patches, and an export would delete them.
    """
    found = [what for name, what in _UNFINISHED.items() if (tree.git_folder / name).exists()]
    next_step = "finish it (git rebase --continue, and the like) or give it up (--abort)"
    if not found and run_git(tree.path, "symbolic-ref", "--quiet", "HEAD", check=False).returncode:
        found = ["HEAD is on no branch"]
        next_step = "git switch - (or git switch --create NAME, to keep what you committed meanwhile)"
    if found:
        raise UnsavedWork(
            f"{tree.path} is in the middle of a change of its commits",
            detail="\n".join(found),
            cause="a git command that waits for its author",
            next_step=f"in the tree: {next_step}; then run the same command again",
        )


def recover(tree: Tree) -> None:
    """Discard what a killed build left behind; an author's work it never is."""
    if tree.cut_short:
        for lock in tree.git_folder.rglob("*.lock"):
            lock.unlink()
        run_git(tree.path, "reset", "--quiet", "--hard", "HEAD")
        run_git(tree.path, "clean", "--quiet", "-d", "--force")
        mark_busy(tree, False)


def unsaved_work(tree: Tree) -> list[str]:
    """What the tree holds that only an author can have made."""
    found = [f"changed: {line[3:]}" for line in git_text(tree.path, "status", "--porcelain").splitlines()]
    saved = tree.exported
    log = git_text(tree.path, "log", "--format=%H%x09%ce%x09%s", f"{UPSTREAM_TAG}..HEAD")
    for commit, committer, subject in (line.split("\t", 2) for line in log.splitlines()):
        if committer != BUILDER and commit not in saved:
            found.append(f"committed: {subject}")
    return found


def refuse_unsaved(tree: Tree) -> None:
    """Raise UnsavedWork if the tree holds an author's work."""
    refuse_unfinished(tree)
    found = unsaved_work(tree)
    if found:
        raise UnsavedWork(
            f"{tree.path} holds work that the series does not",
            detail="\n".join(found),
            cause="a patch was being written there",
            next_step="./build.py new-patch or refresh, to keep it; ./build.py clean --tree, to throw it away",
        )
