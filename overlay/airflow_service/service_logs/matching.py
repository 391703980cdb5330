"""Know each file again: renamed, copied and truncated, compressed, or another one under its old name.

A file is who it is by its first line and by what stands before the place up to which it was shipped. Device and
inode only say where to look first: an inode is used again as soon as its file is removed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from airflow_service.service_logs.discovery import LogFile
from airflow_service.service_logs.files import (
    HEAD,
    TAIL,
    Found,
    UnreadableFile,
    digest,
    digest_of,
    first_line,
    length_of,
    opened,
    pieces,
)
from airflow_service.service_logs.records import Record, Stem, stamp_of

# A first line that is not finished is waited for so long, in seconds.
_PATIENCE = 60.0
# So much of a file's end says whether it is the beginning of another one.
_COPIED = 1 << 16


@dataclass(slots=True)
class Known:
    """A file with its record."""

    file: LogFile
    record: Record
    changed: bool = True
    """Whether it is not as it was at the last look."""
    before: int = 0
    """How long its text was at the last look."""


@dataclass(slots=True)
class Matched:
    """What came of all files and records."""

    known: list[Known] = field(default_factory=list)
    gone: list[Record] = field(default_factory=list)
    """Those whose file is no longer there."""
    unknown: list[Found] = field(default_factory=list)
    """Files that could not be read, or that somebody is still making: nothing is done to them."""


def match(
    files: Sequence[LogFile], records: Sequence[Record], problems: list[str], *, rebuilding: bool = False
) -> Matched:
    """Find each file's record; a file without one begins a new one. The order of the files is kept.

    With `rebuilding`, S3 may have something of each new file.
    """
    by_inode = {(record.stem, record.device, record.inode): record for record in records}
    by_stem: dict[Stem, list[Record]] = defaultdict(list)
    for record in records:
        by_stem[record.stem].append(record)
    result, left = Matched(), []
    held: set[int] = set()
    # First those that are where they were, so that no copy of one is taken for it.
    for file in files:
        candidate = by_inode.get((file.stem, *file.found.same))
        try:
            if candidate and (candidate.unchanged(file.found) or _fits(candidate, file.found)):
                known = Known(file, candidate, changed=not candidate.unchanged(file.found))
                _note(known)
                result.known.append(known)
                held.add(id(candidate))
            else:
                left.append(file)
        except (UnreadableFile, OSError) as error:
            _cannot(file, error, problems, result)
            if candidate:
                held.add(id(candidate))
    for file in left:
        try:
            _match_another(file, by_stem[file.stem], held, result, rebuilding)
        except (UnreadableFile, OSError) as error:
            _cannot(file, error, problems, result)
    place = {id(file): number for number, file in enumerate(files)}
    result.known.sort(key=lambda known: place[id(known.file)])
    result.gone = [record for record in records if id(record) not in held]
    return result


def _match_another(
    file: LogFile, of_stem: list[Record], held: set[int], result: Matched, rebuilding: bool
) -> None:
    found = file.found
    if found.size == 0 or (found.compressed and found.path.with_suffix("").exists()):
        # Nothing is in it, or logrotate is about to compress it.
        result.unknown.append(found)
        return
    for record in of_stem:
        if id(record) not in held and _fits(record, found):
            known = Known(file, record)
            break
        if id(record) in held and found.rotated and _is_copy_of(record, result, found):
            result.unknown.append(found)
            return
    else:
        begun = _begin(file)
        if begun is None:
            result.unknown.append(found)
            return
        # A rotated file was seen as a live one before, if the state tells all.
        begun.past_unknown = rebuilding or found.rotated
        known = Known(file, begun)
    _note(known)
    held.add(id(known.record))
    result.known.append(known)


def _cannot(file: LogFile, error: Exception, problems: list[str], result: Matched) -> None:
    told = str(error) if isinstance(error, UnreadableFile) else f"{file.found.path} cannot be read: {error}"
    problems.append(told)
    result.unknown.append(file.found)


def _fits(record: Record, found: Found) -> bool:
    """Whether a file begins with the record's first line, and goes on behind what was shipped of it."""
    if not found.compressed and found.size < max(record.offset, record.head_length):
        return False
    with opened(found) as text:
        head, length = digest_of(text, 0, record.head_length)
        if (head, length) != (record.head, record.head_length):
            return False
        start = record.tail_end - record.tail_length
        return digest_of(text, start, record.tail_end) == (record.tail or digest(b""), record.tail_length)


def _is_copy_of(record: Record, result: Matched, found: Found) -> bool:
    """Whether a file is the beginning of one that is still there: logrotate copies before it truncates."""
    other = next((known.file.found for known in result.known if known.record is record), None)
    if other is None or other.compressed or found.compressed or other.size < found.size:
        return False
    start = max(0, found.size - _COPIED)
    with opened(found) as text, opened(other) as its:
        return digest_of(text, 0, HEAD) == digest_of(its, 0, HEAD) and digest_of(
            text, start, found.size
        ) == digest_of(its, start, found.size)


def _begin(file: LogFile) -> Record | None:
    """A record for a file that nothing is known of; None if it is not yet clear who it is."""
    with opened(file.found) as text:
        line, whole = first_line(text)
    if not line:
        return None
    fresh = 0 <= time.time() - file.found.modified < _PATIENCE
    if not whole and fresh and not file.found.rotated:
        return None
    return Record(file.source.service, file.name, digest(line), len(line), stamp_of(line))


def _note(known: Known) -> None:
    """Take down how the file is now; a compressed one is read to its end once."""
    record, found = known.record, known.file.found
    known.before, record.gone_since = record.length, 0.0
    if known.changed:
        length = found.size
        if found.compressed:
            with opened(found) as text:
                length = length_of(text)
        record.note(found, length)


def remember_tail(record: Record, text: IO[bytes]) -> None:
    """Take down what stands in front of the record's offset."""
    start = max(0, record.offset - TAIL)
    tail = b"".join(pieces(text, start, record.offset))
    record.tail, record.tail_length, record.tail_end = digest(tail), len(tail), start + len(tail)
