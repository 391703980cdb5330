"""Append to a log on S3, and merge its segments: exactly once, whoever else does and whatever dies.

Every piece that is appended has an id of its own. It stands in the segment's metadata, and
the final object's metadata lists the ids of the last segments that it took in. So a
writer whose answer was lost, or who was killed, can find out whether its piece is in the text.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from airflow_service.log_chain.ahead import UNLISTED, Ahead
from airflow_service.log_chain.chain import Chain, Piece
from airflow_service.log_chain.merging import Local, build
from airflow_service.log_chain.names import PARTS, segment, split
from airflow_service.object_store import (
    Changed,
    Denied,
    Exists,
    NoRight,
    ObjectStore,
    Stored,
    StoreError,
    Unreachable,
)

LARGEST_SEGMENT = 8 << 20
"""Bytes."""
REMEMBERED = 16
"""Ids of segments that a final object lists."""
WORTH_IT = 32 << 20
"""Bytes of a text from which on its merged object is built ahead."""
_TRIES_AHEAD = 3
_TURNS = 40


def new_id() -> str:
    """An id of a piece."""
    return uuid.uuid4().hex[:12]


class Writer(Chain):
    """The text of one log, for those who add to it. Methods raise StoreError."""

    def __init__(self, store: ObjectStore, relative: str) -> None:
        super().__init__(store, relative)
        self._ids: dict[int, str] = {}
        self._mine: list[Piece] = []
        self._ahead: Ahead | None = None
        self._tries = _TRIES_AHEAD

    def append(
        self,
        body: bytes,
        piece_id: str,
        at: int,
        metadata: dict[str, str] | None = None,
        moved: Callable[[int], None] = lambda at: None,
    ) -> int:
        """Add bytes to the end of the text, once; returns their offset.

        `at` is where the end is thought to be. If it is elsewhere, `moved` is called with the next
        place before it is tried: a caller that may die writes it down. Whoever cannot tell whether
        a piece was appended repeats it, with the same bytes, id and place.
        """
        for turn in range(_TURNS):
            if turn > 3:
                time.sleep(random.uniform(0, 0.1))  # so that two do not stay in step
            name = segment(self.relative, at)
            there = self._create(name, body, {**(metadata or {}), "put": piece_id})
            overtaken = self._overtaken(at)
            if overtaken is None and there is None:
                continue  # it was there, and went, and no final object has it
            is_own = there is not None and there.metadata.get("put") == piece_id
            if overtaken is None and there is not None and is_own:
                self._ids[at] = piece_id
                self._note(Piece(name, at, len(body), there.etag))
                return at
            if overtaken is not None and self._took(overtaken, piece_id, at, body):
                self._ids[at] = piece_id
                return at
            # Not its own end: what stands there may be a left-over that is no part of the text, of any length.
            # Or the name was free because a merge had deleted the segment that stood there.
            if is_own:
                self._delete([name])
            at = self.end()
            moved(at)
        raise Unreachable(
            f"append to {self.store.url(self.relative)}: others are faster, {_TURNS} times over"
        )

    def _create(self, name: str, body: bytes, metadata: dict[str, str]) -> Stored | None:
        """What is there then: what was created, or what was there before; None if that has gone."""
        try:
            created = self.store.create(name, body, metadata)
        except Exists:
            return self.look(name)
        if not self._may_read:
            # If this can be read, 403 for another name means that it is free.
            self._may_read = self.store.head(name) is not None
        return created

    def _overtaken(self, at: int) -> Stored | None:
        """The final object, if it reaches beyond an offset."""
        final = self.final()
        return final if final is not None and final.size > at else None

    def _took(self, final: Stored, piece_id: str, at: int, body: bytes) -> bool:
        ids = _ids(final)
        if piece_id in ids:
            return True
        if len(ids) < REMEMBERED and UNLISTED not in ids:
            return False
        # It may have been merged so long ago that its id is no longer listed.
        return self.store.read(self.relative, at, at + len(body)) == body

    def _note(self, piece: Piece) -> None:
        if self._mine and self._mine[-1].end != piece.start:
            self._mine.clear()  # somebody else adds, too
            self._tries = 0
        self._mine.append(piece)

    def prepare(self, local: Local | None = None) -> None:
        """Build the merged object ahead, if there is much of it. Raises nothing: without, a merge takes longer."""
        if not self._tries or not self._mine or self._mine[-1].end - self._mine[0].start < WORTH_IT:
            return
        try:
            if self._ahead is None:
                self._begin_ahead()
            if self._ahead is not None:
                self._ahead.take(self._mine, local)
        except StoreError:
            self._tries -= 1
            self._discard()

    def _begin_ahead(self) -> None:
        final = self.final()
        if (final.size if final else 0) != self._mine[0].start:
            self._tries = 0
            return
        if final:
            self._mine.insert(0, Piece(self.relative, 0, final.size, final.etag))
        self._ahead = Ahead(self.store, self.relative, final)

    def _discard(self) -> None:
        ahead, self._ahead = self._ahead, None
        if self._mine and self._mine[0].name == self.relative:
            del self._mine[0]
        if ahead is not None:
            ahead.abort()

    def merge(self, local: Local | None = None) -> int:
        """Make one object of all; returns its length. Whoever is interrupted leaves a whole text behind.

        `local` gives bytes of the text that are on this machine, which need not be read from the store.
        """
        for _ in range(_TURNS):
            final = self._final_or_denied()
            at = final.size if final else 0
            segments = list(self.segments(at))
            if not segments:
                self._clean(at)
                return at
            merged, etag = uuid.uuid4().hex, final.etag if final else None
            metadata = {"merge": merged, "merged": ",".join(self._remembered(final, segments))}
            pieces = [*([Piece(self.relative, 0, at, final.etag)] if final else []), *segments]
            try:
                if self._ahead is not None and self._ahead.etag == etag and self._ahead.begins(pieces):
                    merged = self._ahead.id
                    self._ahead.complete(pieces, local)
                else:
                    build(self.store, self.relative, pieces, etag, metadata, local)
            except (Changed, Exists):
                pass  # also said of an object that our own earlier try has made: a look tells
            finally:
                # What failed in its middle has a hole.
                self._discard()
                self._mine.clear()
            now = self.final()
            if now is None or now.metadata.get("merge") != merged:
                continue
            if now.size != segments[-1].end:
                wrong = f"it has {now.size} bytes, and should have {segments[-1].end}"
                raise StoreError(f"merge {self.store.url(self.relative)}: {wrong}")
            self._delete([one.name for one in segments])
            return now.size
        raise Unreachable(f"merge {self.store.url(self.relative)}: others change it, {_TURNS} times over")

    def _remembered(self, final: Stored | None, segments: list[Piece]) -> list[str]:
        last = segments[-REMEMBERED:]
        known = [self._ids.get(one.start) or self._id(one) for one in last]
        before = _ids(final) if final else []
        return [one for one in [*before, *known] if one][-REMEMBERED:]

    def _id(self, piece: Piece) -> str:
        found = self.look(piece.name)
        return found.metadata.get("put", "") if found else ""

    def _clean(self, below: int) -> None:
        """Delete segments that the final object has in it, as far as they are known."""
        names = [segment(self.relative, at) for at in self._ids if at < below]
        if below and self._may_list:
            try:
                places = [(one.name, split(one.name)) for one in self.store.list(f"{self.relative}{PARTS}")]
                names = [name for name, place in places if place is not None and place[1] < below]
            except Denied:
                self._may_list = False
        if names:
            self._delete(names)

    def _delete(self, names: list[str]) -> None:
        """What may not be deleted stays, and is never looked at."""
        with suppress(NoRight):
            self.store.delete(names)


def _ids(final: Stored) -> list[str]:
    return [one for one in final.metadata.get("merged", "").split(",") if one]
