"""What was added to a live log: segments, each created once, whose names are their offsets.

A piece has one writer, this host's `ship-logs`, which runs once at a time. So that a try whose answer was lost, or
that was killed, is known again, each segment says in its metadata whose it is and which bytes of the file it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from airflow_service.log_chain import LARGEST_SEGMENT, segment
from airflow_service.object_store import Exists, NoRight, ObjectStore, Stored
from airflow_service.service_logs.files import pieces
from airflow_service.service_logs.names import Place, packed
from airflow_service.service_logs.records import Piece, Record


class Taken(Exception):
    """The name has something else in it: another file's piece, with the same first line on the same day."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which bytes of a file an object holds, and who wrote it."""

    writer: str
    start: int
    end: int

    @classmethod
    def of(cls, stored: Stored) -> Range | None:
        """None for an object that nobody here wrote."""
        start, dash, end = stored.metadata.get("range", "").partition("-")
        if not dash or not start.isdigit() or not end.isdigit():
            return None
        return cls(stored.metadata.get("writer", ""), int(start), int(end))

    def as_metadata(self) -> dict[str, str]:
        return {"writer": self.writer, "range": f"{self.start}-{self.end}"}


def look(store: ObjectStore, name: str) -> Stored | None:
    """What is there. Without the right to list, S3 refuses to say that nothing is: creating it will tell.

    Raises NoRight for what is listed, and may not be read.
    """
    try:
        return store.head(name)
    except NoRight:
        if is_listed(store, name):
            raise
        return None


def is_listed(store: ObjectStore, name: str) -> bool | None:
    """Whether an object is there; None if no listing is allowed."""
    try:
        # Of all names that begin so, it would be the first.
        listed = next(store.list(name, limit=1), None)
    except NoRight:
        return None
    return listed is not None and listed.name == name


def claim(store: ObjectStore, place: Place, record: Record, piece: Piece) -> None:
    """Find a name for a piece that nothing was shipped of: the first that is free, or that is ours."""
    while True:
        base = place.of(record, piece)
        first = look(store, packed(base)) or look(store, segment(base, 0))
        if first is None or _is_ours(first, record, piece.start):
            return
        piece.number += 1


def _is_ours(stored: Stored, record: Record, start: int) -> bool:
    found = Range.of(stored)
    return found is not None and (found.writer, found.start) == (record.writer, start)


def append(
    store: ObjectStore, place: Place, record: Record, piece: Piece, text: IO[bytes], end: int,
    shipped: Callable[[int], None] = lambda size: None,
) -> None:  # fmt: skip
    """Ship the bytes of a piece up to `end`. `piece.shipped` follows each segment that S3 has taken."""
    base = place.of(record, piece)
    is_behind = False
    while piece.shipped < end:
        start = piece.shipped
        name = segment(base, start - piece.start)
        # Where there was one already, as after a run that could write nothing down, more may follow it.
        there = look(store, name) if is_behind else None
        if there is None:
            body = _segment_of(text, start, end)
            if not body:
                return
            try:
                which = Range(record.writer, start, start + len(body))
                there = store.create(name, body, which.as_metadata(), passing=True)
            except Exists:
                is_behind = True
                there = store.head(name)
                if there is None:
                    continue  # It was deleted meanwhile, and is free again.
        # Ours of before may have had less to ship.
        found = Range.of(there)
        if found is None or (found.writer, found.start) != (record.writer, start):
            raise Taken(store.url(name))
        piece.shipped = found.end
        shipped(found.end - start)


def _segment_of(text: IO[bytes], start: int, end: int) -> bytes:
    """So much as one segment takes, in whole lines if more is to follow."""
    body = b"".join(pieces(text, start, min(end, start + LARGEST_SEGMENT)))
    if start + len(body) < end and (line_end := body.rfind(b"\n") + 1):
        body = body[:line_end]
    return body


def walk(
    store: ObjectStore, base: str, look: Callable[[ObjectStore, str], Stored | None] = look
) -> Iterator[tuple[str, int, Mapping[str, str]]]:
    """The segments of a text in their order: name, length in bytes, metadata."""
    offset = 0
    while (there := look(store, name := segment(base, offset))) is not None and there.size:
        yield name, there.size, there.metadata
        offset += there.size


def remove(store: ObjectStore, base: str, length: int) -> None:
    """Delete the segments that lie within the first `length` bytes of a text: those that are packed.

    The last goes first: what an interruption leaves can be walked along again.
    """
    names, end = [], 0
    for name, size, _ in walk(store, base):
        end += size
        if end > length:
            break
        names.append(name)
    store.delete(reversed(names))
