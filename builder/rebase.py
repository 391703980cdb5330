"""Try the series on another release, and say what would become of each patch."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from builder.errors import IndexFailure, UnknownRelease
from builder.git import git_text, run_git
from builder.index import Index, fetch
from builder.pip import pip_settings
from builder.reject import Outcome, Verdict, assess
from builder.release import Release, Source, find_releases, load_release
from builder.series import Patch, Series
from builder.tree import make_tree
from builder.workspace import Workspace, scratch_folder

VERDICTS: tuple[Verdict, ...] = ("applies", "context moved", "already upstream", "conflict")
FORMAT = 1


@dataclass(frozen=True, slots=True)
class RebaseReport:
    """What became of each patch, in the series' order."""

    base: str
    target: str
    outcomes: tuple[tuple[Patch, Outcome], ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        counted = Counter(outcome.verdict for _, outcome in self.outcomes)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def as_json(self) -> dict[str, Any]:
        """The report for machines; hunks are numbered from 1, as in the patch."""
        return {
            "format": FORMAT,
            "base": self.base,
            "target": self.target,
            "counts": self.counts,
            "patches": [{"name": patch.name, **asdict(outcome)} for patch, outcome in self.outcomes],
        }

    def as_text(self) -> str:
        lines = [f"{self.base} → {self.target}"]
        for patch, outcome in self.outcomes:
            lines.append(f"  {outcome.verdict:<17} {patch.name}")
            lines += [f"      {hunk.file}, hunk {hunk.number}" for hunk in outcome.rejected]
            lines += [f"      {note}" for note in outcome.notes]
        lines.append(", ".join(f"{count} {verdict}" for verdict, count in self.counts.items()))
        return "\n".join(lines)


def rebase_report(workspace: Workspace, release: Release, series: Series, version: str) -> RebaseReport:
    """Apply the series to another version of the release, in a tree that is then thrown away.

    A patch in conflict is left out, and the next ones are tried without it.
    """
    target = _target(workspace, release, version)
    with scratch_folder(workspace.line(release.version)) as scratch:
        archives = _archives(workspace, target, scratch)
        empty = Series(release.directory, ())
        tree = make_tree(scratch / "tree", target, empty, archives)
        outcomes = []
        for patch in series:
            outcome = assess(tree.path, patch)
            outcomes.append((patch, outcome))
            if outcome.verdict in ("applies", "context moved"):
                raw = patch.diff.encode("utf-8", "surrogateescape")
                run_git(tree.path, "apply", "--index", "--whitespace=nowarn", "-", stdin=raw)
                run_git(tree.path, "commit", "--quiet", "--no-verify", "--message", patch.name)
        assert not git_text(tree.path, "status", "--porcelain")
    return RebaseReport(release.version, version, tuple(outcomes))


def _target(workspace: Workspace, release: Release, version: str) -> Release:
    """The other release: its own pins where it has some, else the same files of that version."""
    for directory in find_releases(workspace.patches):
        if directory.name == version:
            return load_release(directory)
    sources = tuple(
        replace(source, version=version, file=source.file.replace(source.version, version), sha256="")
        for source in release.trees
        if source.version == release.version
    )
    if not sources:
        raise UnknownRelease(f"{release.directory} has no source whose version is the release's own")
    return replace(release, version=version, sources=sources)


def _archives(workspace: Workspace, target: Release, scratch: Path) -> dict[str, Path]:
    """The target's sources; what no pin vouches for is only read, never run."""
    with Index(pip_settings()) as index:
        return {source.file: _archive(index, source, workspace.downloads, scratch) for source in target.trees}


def _archive(index: Index, source: Source, downloads: Path, scratch: Path) -> Path:
    if source.sha256:
        return fetch([source], downloads)[source.file]
    link = index.link(source.project, source.file)
    path = scratch / source.file
    got = index.download(link, path)
    promised = (link.hash_option or {}).get("sha256", [])
    if promised and got not in promised:
        raise IndexFailure(
            f"{source.file} is not the file that the index promised",
            detail=f"expected {', '.join(promised)}\ngot      {got}",
            cause="a download cut short",
            next_step="run the same command again",
        )
    return path
