"""What an author has in the tree that no patch holds yet: found, and guarded from the builder."""

from __future__ import annotations

import shlex
import sys
from collections import Counter

from builder.errors import UnsavedWork
from builder.git import git_text, run_git
from builder.tree_state import BUILDER, UPSTREAM_TAG, Tree, mark_busy

# Below it, what was in the tree after a killed build; no stash, since it is nobody's until claimed.
RECOVERED = "refs/recovered/"
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


def recover(tree: Tree) -> str:
    """Clear away what a killed build left behind; returns the ref that keeps it, if there was anything.

    It may be half a patch, or what an author did since: nobody can tell, so all
    of it is kept, and said where.
    """
    if not tree.cut_short:
        return ""
    for lock in tree.git_folder.rglob("*.lock"):
        lock.unlink()
    kept = _keep_changes(tree)
    if kept:
        place = shlex.quote(str(tree.path))
        print(
            f"{tree.path} had changes after a build that was cut short: half a patch, or yours\n"
            f"    they are kept as {kept}; to see them: git -C {place} show {kept}\n"
            f"    to have them back: git -C {place} cherry-pick --no-commit {kept}",
            file=sys.stderr,
        )
    run_git(tree.path, "reset", "--quiet", "--hard", "HEAD")
    run_git(tree.path, "clean", "--quiet", "-d", "--force")
    mark_busy(tree, False)
    return kept


def _keep_changes(tree: Tree) -> str:
    """Commit whatever differs from HEAD to a ref of its own: no branch, and no stash, that would be work."""
    # Not by `git stash`, which refuses the half-merged index that a killed git may leave.
    run_git(tree.path, "add", "--all")
    content = git_text(tree.path, "write-tree")
    if content == git_text(tree.path, "rev-parse", "HEAD^{tree}"):
        return ""
    message = "Changes in the tree after a build that was cut short"
    commit = git_text(tree.path, "commit-tree", content, "-p", "HEAD", "-m", message)
    refs = git_text(tree.path, "for-each-ref", "--format=%(refname)", RECOVERED).splitlines()
    ref = f"{RECOVERED}{1 + max((int(name.rpartition('/')[2]) for name in refs), default=0)}"
    run_git(tree.path, "update-ref", ref, commit)
    return ref


def carry_recovered(old: Tree, new: Tree) -> None:
    """Take what killed builds left along into a tree that is made anew."""
    if git_text(old.path, "for-each-ref", RECOVERED):
        # By a file: a fetch from the folder would heed its owner, and the user's configuration.
        bundle = new.path.parent / "recovered.bundle"
        run_git(old.path, "bundle", "create", "--quiet", str(bundle.absolute()), f"--glob={RECOVERED}*")
        run_git(
            new.path, "fetch", "--quiet", "--no-tags", str(bundle.absolute()), f"{RECOVERED}*:{RECOVERED}*"
        )


def refuse_removal(tree: Tree) -> None:
    """Raise UnsavedWork if to remove the tree would lose an author's work."""
    refuse_unfinished(tree)
    kept = recover(tree)
    if kept:
        raise UnsavedWork(
            f"{tree.path} had changes after a build that was cut short",
            detail=f"kept as {kept}",
            cause="half a patch that the build had begun to apply, or an edit since",
            next_step="look at them, as said above; the same command once more removes them with the tree",
        )
    refuse_unsaved(tree, removal=True)


def unsaved_work(tree: Tree, *, removal: bool = False) -> list[str]:
    """What the tree holds that only an author can have made.

    With `removal`, also what is lost only with the whole repository: a build
    that just applies patches anew leaves stashes and other branches alone.
    """
    found = [f"changed: {line[3:]}" for line in git_text(tree.path, "status", "--porcelain").splitlines()]
    found += [f"committed: {subject}" for _, subject in _own_commits(tree, f"{UPSTREAM_TAG}..HEAD")]
    if removal:
        stashes = git_text(tree.path, "stash", "list", "--format=%gd: %gs").splitlines()
        found += [f"stashed: {stash}" for stash in stashes]
        # What came from elsewhere by `git fetch` is not the author's only copy.
        aside = _own_commits(tree, "--branches", "--not", "HEAD", "--remotes")
        count = Counter(branch for branch, _ in aside)
        newest = dict(reversed(aside))
        found += [f"on branch {name}: {n} commit(s), the last: {newest[name]}" for name, n in count.items()]
    return found


def _own_commits(tree: Tree, *revisions: str) -> list[tuple[str, str]]:
    """Branch and subject of the commits that are neither the builder's nor exported, newest first."""
    saved = tree.exported
    log = git_text(tree.path, "log", "--source", "--format=%H%x09%ce%x09%S%x09%s", *revisions, "--")
    # Not splitlines(): a subject may hold what Unicode takes for the end of a line.
    lines = [line.split("\t", 3) for line in log.split("\n") if line]
    return [
        (source.removeprefix("refs/heads/"), subject)
        for commit, committer, source, subject in lines
        if committer != BUILDER and commit not in saved
    ]


def refuse_unsaved(tree: Tree, *, removal: bool = False) -> None:
    """Raise UnsavedWork if the tree holds an author's work."""
    refuse_unfinished(tree)
    found = unsaved_work(tree, removal=removal)
    if found:
        keep = "./build.py new-patch or refresh, to keep it"
        if removal:
            keep += " (a stash or a branch: git stash pop, git rebase or git branch -D first)"
        raise UnsavedWork(
            f"{tree.path} holds work that the series does not",
            detail="\n".join(found),
            cause="a patch was being written there",
            next_step=f"{keep}; ./build.py clean --tree, to throw it away",
        )
