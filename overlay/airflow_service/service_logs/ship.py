"""Ship the logs of services: what was added to live ones, and finished ones as a whole, compressed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import IO

from airflow_service.log_chain import LARGEST_SEGMENT
from airflow_service.object_store import Denied, Expired, NoBucket, ObjectStore, StoreError, Unreachable
from airflow_service.service_logs import packing, segments
from airflow_service.service_logs.files import UnreadableFile, digest_of, last_line_end, opened, pieces
from airflow_service.service_logs.matching import Known, remember_tail
from airflow_service.service_logs.names import Place, packed
from airflow_service.service_logs.plan import SETTLE, cut, end_without_file
from airflow_service.service_logs.records import Piece, Record
from airflow_service.service_logs.recovery import recover
from airflow_service.service_logs.segments import Range, Taken

# A line that is not finished is waited for so long, in seconds.
_UNFINISHED = 60.0
# So many failures in a row, and the store is left alone until the next run: of those that say that it is away, and
# of others, which may be one log's alone, for ever.
_MOST_AWAY, _MOST_REFUSED = 3, 50
_LEFT_ALONE = "the store is left alone until the next run"
# A file that has gone may come back, as when a disk was not mounted: seconds until its pieces are finished, and
# until it is forgotten.
_MISSING, _FORGOTTEN = 3600.0, 8 * 86400.0


@dataclass(slots=True)
class Shipped:
    """What a run has done, in files and bytes of text."""

    segments: int = 0
    packed: int = 0
    size: int = 0
    waiting: int = 0
    """Bytes on disk that S3 has not."""
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Shipper:
    """Ships to one store; `save` is called when there is something to remember."""

    store: ObjectStore
    place: Place
    result: Shipped
    save: Callable[[], object]
    tell: Callable[[str], None] = lambda text: None
    only_adds: bool = False
    """While nothing can be written down, what is packed would be packed by each run anew."""
    settle: float = SETTLE
    _away: int = 0
    _refused: int = 0

    @property
    def gave_up(self) -> bool:
        return self._away >= _MOST_AWAY or self._refused >= _MOST_REFUSED

    def prepare(self, several: Iterable[Known]) -> list[Known]:
        """Make out what files' pieces are; returns those that may be shipped, once that is written down."""
        ready = [known for known in several if self._prepare(known)]
        # What cannot be looked for keeps nothing back of what is known.
        self._away = self._refused = 0
        return ready

    def _prepare(self, known: Known) -> bool:
        record = known.record
        with self._telling(known):
            if record.past_unknown and not self.gave_up:
                recover(self.store, self.place, known, time.time())
                self._did_well()
            if not record.past_unknown:
                # Days end whether or not the store answers.
                cut(known, time.time(), self.settle)
                return True
        return False

    def ship(self, known: Known) -> None:
        """Ship what is to be shipped of a file's pieces. What goes wrong is among the problems of the result."""
        if not known.record.past_unknown and not self.gave_up:
            with self._telling(known):
                self._ship(known)

    @contextmanager
    def _telling(self, known: Known) -> Iterator[None]:
        path = known.file.found.path
        try:
            yield
        except (StoreError, Taken) as error:
            self._failed(f"{path}: {error}", error)
        except (UnreadableFile, OSError) as error:
            self.result.problems.append(str(error) if str(path) in str(error) else f"{path}: {error}")

    def ship_gone(self, record: Record) -> bool:
        """Finish what there is of a file that has gone; whether to remember it still."""
        now = time.time()
        record.gone_since = min(record.gone_since, now) or now
        if now - record.gone_since < _MISSING and not self._all_packed(record):
            return True
        if lost := end_without_file(record):
            self.result.problems.append(
                f"{record.path} was removed or cut off before its last {lost} bytes were shipped"
            )
        try:
            if not self.gave_up:
                for piece in record.pieces:
                    if not piece.packed:
                        self._pack_from_store(record, piece)
                    self._sweep(record, piece)
        except (StoreError, Taken) as error:
            self._failed(f"{record.path}: {error}", error)
        return not self._all_packed(record) or now - record.gone_since < _FORGOTTEN

    def _all_packed(self, record: Record) -> bool:
        return not record.unshipped and all(piece.packed for piece in record.pieces)

    def _failed(self, problem: str, error: Exception) -> None:
        if isinstance(error, NoBucket | Unreachable | Expired):
            self._away += 1
        else:
            self._refused += 1
        self.result.problems.append(problem)
        if self.gave_up and _LEFT_ALONE not in self.result.problems:
            self.result.problems.append(_LEFT_ALONE)

    def _did_well(self) -> None:
        self._away = self._refused = 0
        self.save()

    def _ship(self, known: Known) -> None:
        record = known.record
        for piece in record.pieces:
            if piece.packed:
                self._sweep(record, piece)
        todo = [piece for piece in record.pieces if not piece.packed]
        if not todo or (todo == [record.open_piece] and not self._is_due(known)):
            return
        with opened(known.file.found) as text:
            for piece in todo:
                if piece.shipped == piece.start:
                    segments.claim(self.store, self.place, record, piece)
                if piece.end is None:
                    self._append(known, piece, text)
                elif not self.only_adds:
                    self.tell(f"{known.file.found.path}: finished, {piece.end - piece.start} bytes")
                    self._pack(record, piece, text)
                remember_tail(record, text)
                self.save()

    def _append(self, known: Known, piece: Piece, text: IO[bytes]) -> None:
        end = self._until(known, piece)
        self.tell(f"{known.file.found.path}: {end - piece.shipped} bytes")
        try:
            segments.append(self.store, self.place, known.record, piece, text, end, self._count)
        except Taken:
            if piece.shipped > piece.start:
                # What follows goes under another name, in the next run.
                piece.end = piece.shipped
            raise
        known.record.sent = time.time()

    def _is_due(self, known: Known) -> bool:
        """Whether there is something to add, and it is time for it."""
        piece = known.record.open_piece
        if piece is None or piece.shipped >= known.record.length:
            return False
        waits = (
            not known.file.found.rotated and 0 <= time.time() - known.record.sent < known.file.source.interval
        )
        return not waits and self._until(known, piece) > piece.shipped

    def _until(self, known: Known, piece: Piece) -> int:
        """Up to where a live file is shipped: the end of a line, unless that takes too long."""
        length = known.record.length
        with opened(known.file.found) as text:
            end = last_line_end(text, piece.shipped, length)
        left = length - end
        unfinished = 0 <= time.time() - known.file.found.modified < _UNFINISHED
        return end if unfinished and left < LARGEST_SEGMENT else length

    def _count(self, size: int) -> None:
        self.result.segments += 1
        self.result.size += size
        self._did_well()

    def _pack(self, record: Record, piece: Piece, text: IO[bytes]) -> None:
        assert piece.end is not None
        sha256, length = digest_of(text, piece.start, piece.end)
        if length != piece.end - piece.start:
            raise UnreadableFile(f"{record.path} was cut off while it was shipped")
        self._store_packed(record, piece, sha256, lambda: pieces(text, piece.start, piece.end))

    def _pack_from_store(self, record: Record, piece: Piece) -> None:
        base = self.place.of(record, piece)
        walked = list(segments.walk(self.store, base))
        total = sum(size for _, size, _ in walked)

        def content() -> Iterator[bytes]:
            return chain.from_iterable(self.store.stream(name) for name, _, _ in walked)

        if piece.start + total < piece.shipped:
            # Packed by a run that was killed before it could take that down; or a segment was not seen.
            there = segments.look(self.store, packed(base))
            which = Range.of(there) if there else None
            if (
                there is None
                or which is None
                or (which.writer, which.start) != (record.writer, piece.start)
                or which.end < piece.shipped
            ):
                raise StoreError(
                    f"{self.store.url(base)}: segments of {total} bytes were found, "
                    f"and {piece.shipped - piece.start} were shipped"
                )
            piece.packed, piece.shipped, piece.end = there.size, which.end, which.end
        elif walked:
            piece.end = piece.start + total
            gathered = hashlib.sha256()
            for block in content():
                gathered.update(block)
            self._store_packed(record, piece, gathered.hexdigest(), content)

    def _store_packed(
        self, record: Record, piece: Piece, sha256: str, content: Callable[[], Iterator[bytes]]
    ) -> None:
        assert piece.end is not None
        which = Range(record.writer, piece.start, piece.end)
        base = self.place.of(record, piece)
        while True:
            try:
                name = packed(self.place.of(record, piece))
                piece.packed = packing.pack(self.store, name, which, sha256, content())
                break
            except Taken:
                piece.number += 1
        self.result.packed += 1
        self.result.size += max(0, piece.end - piece.shipped)
        piece.shipped = piece.end
        self._did_well()
        if base != self.place.of(record, piece):
            segments.remove(self.store, base, piece.end - piece.start)
        self._sweep(record, piece)

    def _sweep(self, record: Record, piece: Piece) -> None:
        """Delete the segments of a piece that is packed."""
        if piece.packed and not piece.swept and piece.end is not None:
            try:
                segments.remove(self.store, self.place.of(record, piece), piece.end - piece.start)
            except Denied as error:
                # Readers take the compressed object where both are.
                self.tell(str(error))
            piece.swept = True
