"""What of a log is on S3, and its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_service.log_chain.names import PARTS, segment, split
from airflow_service.object_store import Changed, Denied, NoRight, ObjectStore, Stored, Unreachable

_TURNS = 5
# How much a reader takes at a time, in bytes.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes [start, start + length) of the text: those from `offset` on of an object.

    Without a name they are on this machine alone.
    """

    name: str
    start: int
    length: int
    etag: str = ""
    offset: int = 0

    @property
    def end(self) -> int:
        return self.start + self.length

    def cut(self, length: int) -> tuple[Piece, Piece | None]:
        """Its first `length` bytes, and the rest, if there is one."""
        head = replace(self, length=length)
        if length == self.length:
            return head, None
        rest = replace(
            self, start=self.start + length, length=self.length - length, offset=self.offset + length
        )
        return head, rest


class Chain:
    """The text of one log, by its name relative to the store's folder. Methods raise StoreError."""

    def __init__(self, store: ObjectStore, relative: str) -> None:
        self.store = store
        self.relative = relative
        self._may_list = True
        self._may_read = False

    def final(self) -> Stored | None:
        """The final object, or None."""
        return self.look(self.relative)

    def look(self, name: str) -> Stored | None:
        """An object of this log, or None if there is none.

        Without the right to list, S3 answers 403 for what is not there. That is taken for "none" only
        if a listing is refused too, and something else of this log could be read.
        """
        try:
            found = self.store.head(name)
        except NoRight:
            if self._is_absent(name):
                return None
            raise
        self._may_read = self._may_read or found is not None
        return found

    def _is_absent(self, name: str) -> bool:
        try:
            # Of all names that begin so, it would be the first.
            listed = next(self.store.list(name, limit=1), None)
        except NoRight:
            return self._may_read
        return listed is None or listed.name != name

    def extent(self) -> list[Piece]:
        """The pieces of the text in order, without a gap from 0; empty if nothing is there."""
        for _ in range(_TURNS):
            final = self._final_or_denied()
            pieces = [Piece(self.relative, 0, final.size, final.etag)] if final else []
            segments = list(self.segments(final.size if final else 0))
            # A merge that ended meanwhile took the segments away, and freed their places: whoever was overtaken by
            # it may have put one there that is no part of the text. Then the final object is another.
            if self._unchanged(final):
                return [*pieces, *segments]
        raise Unreachable(f"look at {self.store.url(self.relative)}: it changes again and again")

    def _final_or_denied(self) -> Stored | None:
        try:
            return self.look(self.relative)
        except NoRight:
            # It may be absent: the first segment tells whether anything may be read here.
            if self.look(segment(self.relative, 0)) is None:
                raise
            return None

    def _unchanged(self, before: Stored | Piece | None) -> bool:
        """Whether the final object is still this one, or None if there was none."""
        after = self._final_or_denied()
        return (after.etag if after else None) == (before.etag if before else None)

    def segments(self, at: int) -> Iterator[Piece]:
        """The segments from an offset on, as far as they follow each other."""
        if self._may_list:
            try:
                yield from self._listed(at)
                return
            except Denied:
                self._may_list = False
        while (found := self.look(segment(self.relative, at))) is not None and found.size:
            yield Piece(segment(self.relative, at), at, found.size, found.etag)
            at += found.size

    def _listed(self, at: int) -> Iterator[Piece]:
        # StartAfter leaves its own name out; "/" sorts just before "0".
        after = f"{self.relative}{PARTS}" if at == 0 else segment(self.relative, at - 1)
        for one in self.store.list(f"{self.relative}{PARTS}", after=after):
            place = split(one.name)
            if place is None or place[1] != at or not one.size:
                return
            yield Piece(one.name, at, one.size, one.etag)
            at += one.size

    def end(self) -> int:
        """The length of the text in bytes."""
        pieces = self.extent()
        return pieces[-1].end if pieces else 0

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end) of the text; fewer where it ends before.

        Raises Changed if the log is merged again and again meanwhile.
        """
        return b"".join(self.stream(start, end))

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The text from an offset on in blocks of at most a megabyte, whatever is merged meanwhile."""
        at, turns = start, 0
        pieces = self.extent()
        while True:
            piece = next((one for one in pieces if one.start <= at < one.end), None)
            if piece is None or (end is not None and at >= end):
                return
            stop = piece.end if end is None else min(piece.end, end)
            final = pieces[0] if pieces[0].name == self.relative else None
            block = self.store.read(piece.name, at - piece.start, min(at + _BLOCK, stop) - piece.start)
            # After a merge a segment's place may be taken again, by what is no part of the text.
            if block and (piece.name == self.relative or self._unchanged(final)):
                yield block
                at += len(block)
                turns = 0
                continue
            turns += 1
            if turns > _TURNS:
                raise Changed(f"read {self.store.url(self.relative)}: it changes again and again")
            pieces = self.extent()
