"""Add much to a log at once, by way of its final object: segments would have to be copied at once."""

from __future__ import annotations

from collections.abc import Callable

from airflow_service.log_chain.ahead import UNLISTED
from airflow_service.log_chain.building import Local
from airflow_service.log_chain.chain import Piece
from airflow_service.log_chain.merging import REMEMBERED, TURNS, Merger, ids_of, take_turn
from airflow_service.log_chain.names import segment
from airflow_service.object_store import Exists, Stored, Unreachable

Moved = Callable[[int], None]
"""Told of the place in the text that is tried next."""
# Bytes that are compared at a time.
_COMPARED = 1 << 20
# How often all is sent, and somebody else was faster.
_LOST = 5


class Extender(Merger):
    """The text of one log, for whoever adds much to it. Methods raise StoreError."""

    def extend(
        self, length: int, piece_id: str, at: int, body: Local, local: Local | None, moved: Moved
    ) -> int:
        """Add much to the end of the text, once, by way of the final object; returns its offset there.

        `body` gives bytes of the piece, from 0 to `length`; the rest is as with `append` and `merge`.

        An empty segment is put at the text's end first. Nobody can add a segment there any more: the
        text grows by its final object alone, which is replaced only if it is still the one that was
        seen. It needs no owner: whoever dies leaves it behind, and whoever comes extends the text, too.
        """
        lost = 0
        for turn in range(TURNS):
            take_turn(turn)
            is_closed = self._close(at, piece_id)
            final = self._final_or_denied()
            size = final.size if final is not None else 0
            if final is not None and size > at:
                took = self._took(final, piece_id, at, length, body)
                if is_closed:
                    # It is below the end now, and nothing.
                    self._delete([segment(self.relative, at)])
                if took:
                    return at
            if not is_closed or size > at:
                at = self.end()
                moved(at)
                continue
            segments = list(self.segments(size))
            end = segments[-1].end if segments else size
            if end != at:
                # Not because they were merged just now, this piece perhaps with them.
                if self._unchanged(final):
                    at = end
                    moved(at)
                continue
            ids = [*self._remembered(final, segments), piece_id][-REMEMBERED:]
            added = Piece("", at, length)
            if self._replace(final, [*segments, added], ids, _both(body, added, local)):
                self._delete([*(one.name for one in segments), segment(self.relative, at)])
                return at
            lost += 1
            if lost == _LOST:
                break
        raise Unreachable(f"extend {self.store.url(self.relative)}: others are faster, again and again")

    def _close(self, at: int, piece_id: str) -> bool:
        """Whether nothing but an empty segment is at an offset, and thus nothing else will be."""
        name = segment(self.relative, at)
        for _ in range(TURNS):
            there = self._create(name, b"", {"put": piece_id})
            if there is not None:
                return not there.size
        return False

    def _create(self, name: str, body: bytes, metadata: dict[str, str]) -> Stored | None:
        """What is there then: what was created, or what was there before; None if that has gone."""
        try:
            created = self.store.create(name, body, metadata, passing=True)
        except Exists:
            return self.look(name)
        if not self._may_read:
            # If this can be read, 403 for another name means that it is free.
            self._may_read = self.store.head(name) is not None
        return created

    def _took(self, final: Stored, piece_id: str, at: int, length: int, body: Local) -> bool:
        """Whether a final object has a piece in it that may have been added at an offset."""
        ids = ids_of(final)
        if piece_id in ids:
            return True
        if final.size < at + length or (len(ids) < REMEMBERED and UNLISTED not in ids):
            return False
        # It may have been merged so long ago that its id is no longer listed.
        for start in range(0, length, _COMPARED):
            end = min(start + _COMPARED, length)
            if self.store.read(self.relative, at + start, at + end) != body(start, end):
                return False
        return True


def _both(body: Local, added: Piece, local: Local | None) -> Local:
    """The bytes of a text to which a piece is added, where they are on this machine."""

    def read(start: int, end: int) -> bytes | None:
        if start >= added.start:
            return body(start - added.start, end - added.start)
        return local(start, end) if local is not None else None

    return read
