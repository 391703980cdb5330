"""A merged log that is built while its text still grows, so that little is left to do at the end.

A large log's segments are copied, as they come, into an upload in parts, which nobody sees.
To complete it takes the parts that came last and one request, with the condition that the
final object is still the one that it began with.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from airflow_service.log_chain.building import Local, add_parts, parts
from airflow_service.log_chain.chain import Piece
from airflow_service.object_store import ObjectStore, Stored
from airflow_service.object_store.uploads import LEAST_PART, Upload

UNLISTED = "*"
"""Stands in a final object's list of ids for those that were not known when it was begun."""


class Ahead:
    """An upload of a text's first pieces. Methods raise StoreError."""

    def __init__(self, store: ObjectStore, relative: str, final: Stored | None) -> None:
        self._store = store
        self.id = uuid.uuid4().hex
        self.etag = final.etag if final else None
        self._pieces: list[Piece] = []
        self._waiting: list[Piece] = []
        self._upload = Upload(store, relative, {"merge": self.id, "merged": UNLISTED})

    def begins(self, pieces: Sequence[Piece]) -> bool:
        """Whether what was taken in is the beginning of these."""
        return list(pieces[: len(self._pieces)]) == self._pieces

    def take(self, pieces: Sequence[Piece], local: Local | None) -> None:
        """Add what of a text's pieces is new; what is too little for a part waits."""
        self._waiting += pieces[len(self._pieces) :]
        self._pieces = list(pieces)
        groups = list(parts(self._waiting))
        if groups and sum(piece.length for piece in groups[-1]) < LEAST_PART:
            self._waiting = groups.pop()
        else:
            self._waiting = []
        add_parts(self._upload, self._store, groups, local)

    def complete(self, pieces: Sequence[Piece], local: Local | None) -> None:
        """Add the rest, and put it in the place of the final object. Raises Changed or Exists."""
        self.take(pieces, local)
        if self._waiting:
            add_parts(self._upload, self._store, [self._waiting], local)
        self._upload.complete(self.etag)

    def abort(self) -> None:
        """Throw it away."""
        self._upload.abort()
