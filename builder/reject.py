"""Why a patch does not apply: which file, which hunk, and what git rejected."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unidiff.patch import Hunk

from builder.errors import PatchConflict
from builder.git import run_git
from builder.series import Patch

Verdict = Literal["applies", "context moved", "already upstream", "conflict"]

_REJECTED = re.compile(r"Rejected hunk #(\d+)\.")
_FILE = re.compile(r"(?:Applying patch (.+) with \d+ rejects?\.\.\.|Applied patch (.+) cleanly\.)")
_MISSING = re.compile(
    r"error: (.+): (No such file or directory|does not exist in index|already exists in .+)"
)
_MOVED = re.compile(r"Hunk #\d+ succeeded at \d+ \(offset -?\d+ lines?\)\.")


@dataclass(frozen=True, slots=True)
class RejectedHunk:
    """A hunk that found no place: its file, its number from 1, its text."""

    file: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What applying one patch to a tree came to."""

    verdict: Verdict
    rejected: tuple[RejectedHunk, ...] = ()
    notes: tuple[str, ...] = ()


def _git_apply(tree: Path, patch: Patch, *options: str) -> subprocess.CompletedProcess[bytes]:
    raw = patch.diff.encode("utf-8", "surrogateescape")
    return run_git(tree, "apply", "--whitespace=nowarn", *options, "-", stdin=raw, check=False)


def assess(tree: Path, patch: Patch) -> Outcome:
    """Say what would become of a patch in a clean tree, and change nothing."""
    checked = _git_apply(tree, patch, "--check", "--index", "--verbose")
    if checked.returncode == 0:
        moved = tuple(line for line in _lines(checked.stderr) if _MOVED.fullmatch(line))
        return Outcome("context moved" if moved else "applies", notes=moved)
    if _git_apply(tree, patch, "--check", "--index", "--reverse").returncode == 0:
        return Outcome("already upstream")
    rejected = _rejected_hunks(tree, patch)
    missing = tuple(line for line in _lines(checked.stderr) if _MISSING.fullmatch(line))
    if _git_apply(tree, patch, "--check", "--index", "-C1").returncode == 0:
        missing += (
            "it would apply with fuzz, which this project never allows: the context has to be refreshed",
        )
    return Outcome("conflict", rejected, missing)


def _lines(raw: bytes) -> list[str]:
    return raw.decode("utf-8", "replace").splitlines()


def _rejected_hunks(tree: Path, patch: Patch) -> tuple[RejectedHunk, ...]:
    """Apply what applies, read what git rejects, and put the tree back."""
    files = {file.path: list(file) for file in patch.parsed()}
    done = _git_apply(tree, patch, "--reject", "--verbose")
    run_git(tree, "reset", "--quiet", "--hard", "HEAD")
    run_git(tree, "clean", "--quiet", "-d", "--force")
    found = []
    file = ""
    for line in _lines(done.stderr):
        if match := _FILE.fullmatch(line):
            file = match[1] or match[2]
        elif match := _REJECTED.fullmatch(line):
            number = int(match[1])
            found.append(RejectedHunk(file, number, _hunk_text(files.get(file, []), number)))
    return tuple(found)


def _hunk_text(hunks: list[Hunk], number: int) -> str:
    return str(hunks[number - 1]) if number <= len(hunks) else ""


def describe_failure(tree: Path, file: Path, patch: Patch) -> PatchConflict:
    """The error for a patch that did not apply, with its rejects shown; `file` holds the patch."""
    outcome = assess(tree, patch)
    where = "; ".join(f"{hunk.file}, hunk {hunk.number}" for hunk in outcome.rejected)
    cause = "upstream changed these lines, or an earlier patch of the series does"
    next_step = (
        f"git -C {shlex.quote(str(tree))} apply --reject --whitespace=nowarn {shlex.quote(str(file))};"
        " make the rejected changes there by hand and delete the *.rej files;"
        f" then ./build.py refresh --into {patch.name}, and ./build.py patch for the rest"
    )
    if outcome.verdict == "already upstream":
        cause = "the release has this change already"
        next_step = f"delete {file} and its line in the series, then ./build.py patch"
    return PatchConflict(
        f"{patch.name} does not apply" + (f": {where}" if where else ""),
        detail="\n".join(
            [*outcome.notes, *(f"--- {h.file}, hunk {h.number}\n{h.text}" for h in outcome.rejected)]
        ),
        cause=cause,
        next_step=next_step,
    )
