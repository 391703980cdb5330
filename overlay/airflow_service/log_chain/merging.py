"""Make one object of a log: of its segments, and of what is still on this machine alone.

Every piece that is added to a text has an id of its own. The final object's metadata lists the ids
of the last ones that it took in. So a writer whose answer was lost, or who was killed, can
find out whether its piece is in the text.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

from airflow_service.log_chain.ahead import Ahead
from airflow_service.log_chain.building import Local, build
from airflow_service.log_chain.chain import Chain, Piece
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

REMEMBERED = 16
"""Ids of pieces that a final object lists."""
WORTH_IT = 32 << 20
"""Bytes of a text from which on its merged object is built ahead."""
_TRIES_AHEAD = 3
TURNS = 40
"""How often others may be faster."""


def new_id() -> str:
    """An id of a piece."""
    return uuid.uuid4().hex[:12]


def take_turn(turn: int) -> None:
    """Wait a little after some turns, so that two do not stay in step."""
    if turn > 3:
        time.sleep(random.uniform(0, 0.1))


class Merger(Chain):
    """The text of one log, for whoever changes its final object. Methods raise StoreError."""

    def __init__(self, store: ObjectStore, relative: str) -> None:
        super().__init__(store, relative)
        self._ids: dict[int, str] = {}
        self._mine: list[Piece] = []
        self._ahead: Ahead | None = None
        self._tries = _TRIES_AHEAD

    def merge(self, local: Local | None = None) -> int:
        """Make one object of all; returns its length. Whoever is interrupted leaves a whole text behind.

        `local` gives bytes of the text that are on this machine, which need not be read from the store.
        """
        for turn in range(TURNS):
            take_turn(turn)
            final = self._final_or_denied()
            at = final.size if final else 0
            segments = list(self.segments(at))
            if not segments:
                self._clean(at)
                return at
            if self._replace(final, segments, self._remembered(final, segments), local):
                self._delete([one.name for one in segments])
                return segments[-1].end
        raise Unreachable(f"merge {self.store.url(self.relative)}: others change it, {TURNS} times over")

    def _replace(
        self, final: Stored | None, behind: Sequence[Piece], ids: Sequence[str], local: Local | None
    ) -> bool:
        """Put the final object and what follows it in its place, verified; False if somebody else was faster."""
        merged, etag = uuid.uuid4().hex, final.etag if final else None
        metadata = {"merge": merged, "merged": ",".join(ids)}
        pieces = [*([Piece(self.relative, 0, final.size, final.etag)] if final else []), *behind]
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
            return False
        if now.size != behind[-1].end:
            wrong = f"it has {now.size} bytes, and should have {behind[-1].end}"
            raise StoreError(f"merge {self.store.url(self.relative)}: {wrong}")
        return True

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

    def _remembered(self, final: Stored | None, segments: Sequence[Piece]) -> list[str]:
        last = segments[-REMEMBERED:]
        known = [self._ids.get(one.start) or self._id(one) for one in last]
        before = ids_of(final) if final else []
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


def ids_of(final: Stored) -> list[str]:
    return [one for one in final.metadata.get("merged", "").split(",") if one]
