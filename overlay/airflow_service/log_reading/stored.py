"""Logs in the object store: a final object and segments behind it, as one text (see log_chain)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from airflow_service.log_chain import Piece
from airflow_service.log_reading.extents import Extent, Extents, Memory, Restless, etag_of
from airflow_service.log_reading.source import NotThere, Unreadable
from airflow_service.object_store import ObjectStore, StoreError

# Segments that are read for one page: a quiet task has one of some bytes each ten seconds.
AT_ONCE = 64
_THREADS = 8
_TURNS = 5

_MEMORY = Memory()


class StoredText:
    """A log in the object store. Other readers, and writers that merge meanwhile, change nothing for it."""

    name = "s3"

    def __init__(self, store: ObjectStore, relative: str, memory: Memory = _MEMORY) -> None:
        self.store = store
        self.relative = relative
        self.where = store.url(relative)
        self._memory = memory
        self._extents = Extents(store, relative, memory)
        self._seen: Extent | None = None

    def size(self) -> int:
        """How long the text is now."""
        with _told():
            self._seen = self._extents.look()
        if not self._seen.pieces:
            raise NotThere("there is no such object, and no segment of one")
        return self._seen.size

    @property
    def seen(self) -> Extent:
        """What the text consisted of when its size was told."""
        if self._seen is None:
            with _told():
                self._seen = self._extents.look()
        return self._seen

    def near(self, start: int, end: int, *, from_end: bool) -> tuple[int, int]:
        """What lies in so many objects as are read at once."""
        touched = self._touched(start, end)
        if len(touched) <= AT_ONCE:
            return start, end
        if from_end:
            return max(start, touched[-AT_ONCE].start), end
        return start, min(end, touched[AT_ONCE - 1].end)

    def read(self, start: int, end: int) -> bytes:
        """The range, as it was when the size was told: a merge meanwhile moves bytes to another object."""
        if start >= end:
            return b""
        with _told():
            for _ in range(_TURNS):
                data = self._read_once(start, end)
                if data is not None:
                    return data
                self._memory.forget(self.where)
                self._seen = self._extents.look()
                if self._seen.size < end:
                    raise Unreadable("it is shorter than it was")
            raise Restless

    def _read_once(self, start: int, end: int) -> bytes | None:
        """The range; None if an object that held some of it was merged into another one."""
        touched = self._touched(start, end)
        if len(touched) == 1:
            blocks = [self._read_of(touched[0], start, end)]
        else:
            with ThreadPoolExecutor(min(_THREADS, len(touched))) as pool:
                blocks = list(pool.map(lambda piece: self._read_of(piece, start, end), touched))
        data = b"".join(block or b"" for block in blocks)
        if len(data) != end - start:
            return None
        if touched[-1].name != self.relative and etag_of(self._extents.final()) != self.seen.etag:
            # After a merge a segment's name may be taken again, by what is no part of the text.
            return None
        return data

    def _read_of(self, piece: Piece, start: int, end: int) -> bytes | None:
        start, end = max(start, piece.start) - piece.start, min(end, piece.end) - piece.start
        known = self._extents.end
        if known is not None and piece.name == self.relative and piece.etag == known.etag:
            data = known.part(start, end)
            if data is not None:
                return data
        return self.store.read(piece.name, start, end)

    def _touched(self, start: int, end: int) -> Sequence[Piece]:
        pieces = self.seen.pieces
        first = bisect_right(pieces, start, key=lambda one: one.start) - 1
        last = bisect_right(pieces, end - 1, key=lambda one: one.start)
        return pieces[max(0, first) : last]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise Unreadable(str(error)) from None
    except Restless:
        raise Unreadable("it changes faster than it can be read") from None
