"""A log as one of the places that may have it keeps it."""

from __future__ import annotations

from typing import Protocol


class NotThere(Exception):
    """The place says that it has no such log; the message is its answer."""


class Unreadable(Exception):
    """The place could not be asked, or failed: it may have the log. The message says what happened."""


class Source(Protocol):
    """One place's copy of a log: bytes, which are appended to and never change.

    So an offset in it stays true. All methods raise Unreadable.
    """

    name: str
    """Which kind of place it is: `s3`, `file` or `worker`."""
    where: str
    """The place, for people."""

    def size(self) -> int:
        """How many bytes there are now. Raises NotThere."""

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, which is at most the size that was told last."""

    def near(self, start: int, end: int, *, from_end: bool) -> tuple[int, int]:
        """The part of a range that can be read at once, at its end or at its beginning."""
