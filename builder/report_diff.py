"""A patch's diff as the report shows it: lines with numbers and marked words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from unidiff.patch import Hunk, Line

from builder.series import Patch

Kind = Literal["context", "removed", "added", "note"]
_KINDS: dict[str, Kind] = {"-": "removed", "+": "added", "\\": "note"}


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line; `mark` is the part that differs from its counterpart."""

    kind: Kind
    old: int | None
    new: int | None
    before: str
    mark: str = ""
    after: str = ""

    @property
    def sign(self) -> str:
        return {"context": " ", "removed": "-", "added": "+", "note": "\\"}[self.kind]


@dataclass(frozen=True, slots=True)
class DiffHunk:
    """A hunk: where it is, and its lines."""

    heading: str
    lines: tuple[DiffLine, ...]


@dataclass(frozen=True, slots=True)
class DiffFile:
    """One file of a diff; `change` is `changed`, `new` or `deleted`."""

    path: str
    change: str
    added: int
    removed: int
    binary: bool
    hunks: tuple[DiffHunk, ...]


def diff_files(patch: Patch) -> tuple[DiffFile, ...]:
    """The files of a patch, in the diff's order."""
    return tuple(
        DiffFile(
            file.path,
            "new" if file.is_added_file else "deleted" if file.is_removed_file else "changed",
            file.added,
            file.removed,
            bool(file.is_binary_file),
            tuple(DiffHunk(_heading(hunk), tuple(_lines(hunk))) for hunk in file),
        )
        for file in patch.parsed()
    )


def _heading(hunk: Hunk) -> str:
    place = f"@@ -{hunk.source_start},{hunk.source_length} +{hunk.target_start},{hunk.target_length} @@"
    return f"{place} {hunk.section_header}".rstrip()


def _lines(hunk: Hunk) -> Iterator[DiffLine]:
    groups = [(kind, list(lines)) for kind, lines in groupby(hunk, lambda line: line.line_type)]
    for place, (kind, lines) in enumerate(groups):
        following = groups[place + 1] if place + 1 < len(groups) else ("", [])
        preceding = groups[place - 1] if place else ("", [])
        # Only runs of equal length pair off line by line; others would mark noise.
        other: list[Line] = []
        if kind == "-" and following[0] == "+" and len(following[1]) == len(lines):
            other = following[1]
        if kind == "+" and preceding[0] == "-" and len(preceding[1]) == len(lines):
            other = preceding[1]
        for number, line in enumerate(lines):
            counterpart = _text(other[number]) if other else None
            yield DiffLine(
                _KINDS.get(kind, "context"),
                line.source_line_no,
                line.target_line_no,
                *split_difference(_text(line), counterpart),
            )


def _text(line: Line) -> str:
    return str(line.value).removesuffix("\n")


def split_difference(text: str, other: str | None) -> tuple[str, str, str]:
    """Split a line into what it begins alike, what differs, and what it ends alike.

    Lines with little in common are not split: to mark all of one says nothing.
    """
    if other is None or text == other:
        return text, "", ""
    shorter = min(len(text), len(other))
    start = next((place for place in range(shorter) if text[place] != other[place]), shorter)
    rest = shorter - start
    end = next((place for place in range(rest) if text[-1 - place] != other[-1 - place]), rest)
    alike = len(text[:start].strip()) + len(text[len(text) - end :].strip())
    if alike * 3 < len(other.strip()):
        return text, "", ""
    return text[:start], text[start : len(text) - end], text[len(text) - end :]
