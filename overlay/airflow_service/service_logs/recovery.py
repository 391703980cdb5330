"""Find on S3 what was shipped of a file that nothing is known of on disk.

Names follow from the files themselves, so that no listing is needed: each day on which the file may have been
shipped is asked for by name. What is found counts only if its bytes are those of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from typing import IO

from airflow_service.object_store import Exists, NoRight, ObjectStore, Stored, StoreError
from airflow_service.service_logs.files import digest_of, opened
from airflow_service.service_logs.matching import Known, remember_tail
from airflow_service.service_logs.names import Place, packed
from airflow_service.service_logs.packing import holds
from airflow_service.service_logs.plan import day_of
from airflow_service.service_logs.records import Piece, Record
from airflow_service.service_logs.segments import Range, is_listed, walk

_MOST_DAYS = 62
_WITNESS = (
    b"What airflow-service ship-logs may read here, to know by it that what it may not read is not there.\n"
)


def recover(store: ObjectStore, place: Place, known: Known, now: float) -> None:
    """Fill a record whose past is unknown with the pieces that S3 has of its file.

    Raises StoreError if S3 does not tell; the past stays unknown then.
    """
    record = known.record
    found: list[Piece] = []
    with opened(known.file.found) as text:
        for day in _days(record, known.file.found.modified, now):
            found += _pieces_of_day(store, place, record, day, text)
        record.pieces = _contiguous(sorted(found, key=lambda piece: piece.start), record.length)
        today = day_of(now)
        if record.pieces and not known.file.found.rotated:
            last = record.pieces[-1]
            if not last.packed and last.day >= today:
                last.end = None
        remember_tail(record, text)
    record.past_unknown = False
    known.before = record.offset


def _days(record: Record, modified: float, now: float) -> Iterator[str]:
    """From the day of the first line to this one, and one more at each end for zones and clocks."""
    last = date.fromtimestamp(max(now, modified)) + timedelta(days=1)
    try:
        first = date.fromisoformat(record.stamp[:8]) - timedelta(days=1)
    except ValueError:
        first = date.fromtimestamp(min(now, modified)) - timedelta(days=_MOST_DAYS)
    first = max(first, last - timedelta(days=_MOST_DAYS))
    for number in range((last - first).days + 1):
        yield (first + timedelta(days=number)).isoformat()


def _look(store: ObjectStore, name: str) -> Stored | None:
    """What is there; a refusal counts as nothing only if that is certain. Raises StoreError.

    Who may not list is refused what is not there: known by something beside it that can be read.
    """
    try:
        return store.head(name)
    except NoRight:
        listed = is_listed(store, name)
        if listed:
            raise
        if listed is not None:
            return None
        _read_witness(store, "/".join([*name.split("/")[:3], "may-read"]))
    # The refusal may have been of that moment, with the reason for it.
    with suppress(NoRight):
        return store.head(name)
    return None


def _read_witness(store: ObjectStore, name: str) -> None:
    """Read an object of this host's, made if it is not there. Raises NoRight if it may not be read."""
    with suppress(NoRight):
        if store.head(name) is not None:
            return
    with suppress(Exists):
        store.create(name, _WITNESS)
    if store.head(name) is None:
        raise StoreError(f"{store.url(name)} has gone again")


def _pieces_of_day(
    store: ObjectStore, place: Place, record: Record, day: str, text: IO[bytes]
) -> Iterator[Piece]:
    number = 1
    while True:
        base = place.base(record, day, number)
        if finished := _look(store, packed(base)):
            which = Range.of(finished)
            if (
                which
                and _is_in(text, which, finished.metadata.get("sha256", ""))
                and holds(store, packed(base), finished.metadata["sha256"])
            ):
                yield Piece(day, which.start, which.end, which.end, number, finished.size)
        elif not (piece := _live_piece(store, base, day, number, text)):
            if not any(True for _ in walk(store, base, _look)):
                return
        else:
            yield piece
        number += 1


def _live_piece(store: ObjectStore, base: str, day: str, number: int, text: IO[bytes]) -> Piece | None:
    """What the segments of a piece hold, if that is what the file has there."""
    gathered, length, start = hashlib.sha256(), 0, None
    for name, size, metadata in walk(store, base, _look):
        if start is None:
            start = int(metadata.get("range", "0-").partition("-")[0] or 0)
        for block in store.stream(name):
            gathered.update(block)
        length += size
    if start is None or not _is_in(text, Range("", start, start + length), gathered.hexdigest()):
        return None
    return Piece(day, start, start + length, start + length, number)


def _is_in(text: IO[bytes], which: Range, sha256: str) -> bool:
    return digest_of(text, which.start, which.end) == (sha256, which.end - which.start)


def _contiguous(found: list[Piece], length: int) -> list[Piece]:
    """The pieces that do not overlap, with one that waits to be shipped for each gap between them."""
    kept: list[Piece] = []
    at = 0
    for piece in found:
        if piece.start < at or piece.end is None or piece.end > length:
            continue
        if piece.start > at:
            same_day = [one.number for one in found if one.day == piece.day]
            kept.append(Piece(piece.day, at, at, piece.start, max(same_day) + 1))
        kept.append(piece)
        at = piece.end
    return kept
