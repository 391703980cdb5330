"""Append to a log on S3: exactly once, whoever else does and whatever dies."""

from __future__ import annotations

from airflow_service.log_chain.chain import Piece
from airflow_service.log_chain.extending import Extender, Moved
from airflow_service.log_chain.merging import TURNS, take_turn
from airflow_service.log_chain.merging import new_id as new_id
from airflow_service.log_chain.names import segment
from airflow_service.object_store import Stored, Unreachable

LARGEST_SEGMENT = 8 << 20
"""Bytes."""


class Writer(Extender):
    """The text of one log, for those who add to it. Methods raise StoreError."""

    def append(
        self,
        body: bytes,
        piece_id: str,
        at: int,
        metadata: dict[str, str] | None = None,
        moved: Moved = lambda at: None,
    ) -> int:
        """Add bytes to the end of the text, once; returns their offset.

        `at` is where the end is thought to be. If it is elsewhere, `moved` is called with the next
        place before it is tried: a caller that may die writes it down. Whoever cannot tell whether
        a piece was appended repeats it, with the same bytes, id and place.
        """

        def bytes_of(start: int, end: int) -> bytes:
            return body[start:end]

        for turn in range(TURNS):
            take_turn(turn)
            name = segment(self.relative, at)
            there = self._create(name, body, {**(metadata or {}), "put": piece_id})
            if there is not None and not there.size and body:
                # The text was closed for segments here.
                return self.extend(len(body), piece_id, at, bytes_of, None, moved)
            overtaken = self._overtaken(at)
            if overtaken is None and there is None:
                continue  # it was there, and went, and no final object has it
            is_own = there is not None and there.metadata.get("put") == piece_id
            if overtaken is None and there is not None and is_own:
                self._ids[at] = piece_id
                self._note(Piece(name, at, len(body), there.etag))
                return at
            if overtaken is not None and self._took(overtaken, piece_id, at, len(body), bytes_of):
                self._ids[at] = piece_id
                return at
            # Not its own end: what stands there may be a left-over that is no part of the text, of any length.
            # Or the name was free because a merge had deleted the segment that stood there.
            if is_own:
                self._delete([name])
            at = self.end()
            moved(at)
        raise Unreachable(
            f"append to {self.store.url(self.relative)}: others are faster, {TURNS} times over"
        )

    def _overtaken(self, at: int) -> Stored | None:
        """The final object, if it reaches beyond an offset."""
        final = self.final()
        return final if final is not None and final.size > at else None
