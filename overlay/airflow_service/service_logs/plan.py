"""Cut a file's text into one piece for each day, and say which piece is finished.

A piece holds what a run saw of the file on its day (UTC), not the lines that bear its date: a run comes each
minute, formats of dates are many, and a line may have none. Had each file one text, filed under the day on which it
began, then a log that is rotated once a week, or never, would have to be looked for under days long past.
"""

from __future__ import annotations

import time

from airflow_service.service_logs.files import last_line_end, opened
from airflow_service.service_logs.matching import Known
from airflow_service.service_logs.records import Piece, Record

SETTLE = 30.0
"""Seconds for which a rotated file has to be left alone until it counts as finished."""


def day_of(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def cut(known: Known, now: float, settle: float = SETTLE) -> None:
    """Begin and end pieces as the day and the file's state ask for it."""
    record, found = known.record, known.file.found
    today = day_of(now)
    finished = found.rotated and _settled(known, now, settle)
    piece = record.open_piece
    if piece and finished:
        piece.end = record.length
    elif piece and piece.day < today:
        _end_of_day(known, piece)
    _forget_empty(record)
    last_end = record.pieces[-1].end if record.pieces else 0
    if last_end is not None and record.length > last_end:
        # A file that was not seen before it was rotated belongs to the day of its last line.
        day = min(today, day_of(found.modified)) if found.rotated else today
        _begin(record, day, last_end)
        if finished:
            record.pieces[-1].end = record.length


def end_without_file(record: Record) -> int:
    """Nothing more can come: its file has gone. How many bytes went with it, as far as was seen."""
    lost = record.unshipped
    for piece in record.pieces:
        piece.end = piece.shipped if piece.end is None else min(piece.end, piece.shipped)
    _forget_empty(record)
    record.length = record.offset
    return lost


def _begin(record: Record, day: str, start: int) -> None:
    same_day = [piece.number for piece in record.pieces if piece.day == day]
    record.pieces.append(Piece(day, start, start, number=max(same_day, default=0) + 1))


def _end_of_day(known: Known, piece: Piece) -> None:
    seen = max(piece.shipped, min(known.before, known.record.length))
    with opened(known.file.found) as text:
        line_end = last_line_end(text, piece.shipped, seen)
    # A line that is longer than what was shipped of it goes on in the next piece.
    piece.end = line_end if line_end > piece.start else seen


def _settled(known: Known, now: float, settle: float) -> bool:
    if known.file.found.compressed:
        return True
    age = now - known.file.found.modified
    # With a clock that was set back, what did not change since the last run will do.
    return age >= settle or (age < 0 and not known.changed)


def _forget_empty(record: Record) -> None:
    record.pieces = [piece for piece in record.pieces if piece.end is None or piece.end > piece.start]
