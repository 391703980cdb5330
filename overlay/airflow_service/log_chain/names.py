"""The names of a log's objects."""

from __future__ import annotations

import re

PARTS = ".parts/"
_SEGMENT = re.compile(r"(.+)\.parts/([0-9]{20})", re.DOTALL)


def segment(relative: str, offset: int) -> str:
    """The name of the segment at an offset; names sort as offsets do."""
    return f"{relative}{PARTS}{offset:020d}"


def split(name: str) -> tuple[str, int] | None:
    """The log and the offset that a segment's name stands for; None for any other name."""
    found = _SEGMENT.fullmatch(name)
    return (found[1], int(found[2])) if found else None
