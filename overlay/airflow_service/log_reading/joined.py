"""The text in the store, with what this machine's file has beyond it: what is not shipped yet."""

from __future__ import annotations

from airflow_service.log_reading.source import NotThere, Source, Unreadable

# Bytes that have to be the same before the place where one copy ends and the other goes on.
_COMPARED = 256


class WithLocalTail:
    """A stored text whose file is on this machine, and may be ahead of it.

    It counts as the stored text: what is shipped later has the same offsets.
    """

    def __init__(self, stored: Source, local: Source) -> None:
        self.stored = stored
        self.local = local
        self.name = stored.name
        self.where = stored.where
        self.shipped = 0
        """Where the file's part begins, if there is any."""
        self.ahead = 0
        """How many bytes are this machine's alone."""

    def size(self) -> int:
        """The text's size with the file's part. Raises NotThere if nothing of it is stored."""
        self.shipped = self.stored.size()
        self.ahead = 0
        try:
            size = self.local.size()
            if size > self.shipped and self._agree():
                self.ahead = size - self.shipped
        except (NotThere, Unreadable):
            pass
        return self.shipped + self.ahead

    def read(self, start: int, end: int) -> bytes:
        """The range, from the store as far as that goes."""
        data = self.stored.read(start, min(end, self.shipped)) if start < self.shipped else b""
        return data + (self.local.read(max(start, self.shipped), end) if end > self.shipped else b"")

    def near(self, start: int, end: int, *, from_end: bool) -> tuple[int, int]:
        """What the store can read at once; all of the file can be."""
        if start >= self.shipped:
            return start, end
        near, until = self.stored.near(start, min(end, self.shipped), from_end=from_end)
        return near, end if until == self.shipped else min(end, until)

    def _agree(self) -> bool:
        """Whether the file's text is the stored one: a task that waited may have gone on on another machine."""
        start = max(0, self.shipped - _COMPARED)
        return self.stored.read(start, self.shipped) == self.local.read(start, self.shipped)
