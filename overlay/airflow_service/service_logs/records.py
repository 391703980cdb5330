"""What is known of a log file: who it is, where its text went, and how far."""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from airflow_service.service_logs.files import Found

Stem = tuple[str, str]
# The dates of Airflow, gunicorn, RabbitMQ (2026-11-22 10:15:00), nginx's errors (2026/11/22), and nginx's
# accesses (22/Nov/2026:10:15:00).
_DATE = re.compile(rb"(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_COMMON_DATE = re.compile(rb"(\d\d)/([A-Z][a-z][a-z])/(\d{4}):(\d\d):(\d\d):(\d\d)")


@dataclass(slots=True)
class Piece:
    """A stretch of a file's bytes that is one text on S3: what was seen of it on one day."""

    day: str
    """YYYY-MM-DD, UTC."""
    start: int
    shipped: int
    """So far S3 has it, as segments."""
    end: int | None = None
    """Where it ends, once nothing comes to it any more."""
    number: int = 1
    """2, 3, … for another one of the same file on the same day, or if the name was taken."""
    packed: int = 0
    """The compressed object's size once it is there and verified, in bytes; 0 before."""
    swept: bool = False
    """Whether its segments are deleted, which the compressed object replaced."""


@dataclass(slots=True)
class Record:
    """A log file, from its first line on, whatever its name and inode are meanwhile."""

    service: str
    name: str
    head: str
    """The SHA-256 of its first line."""
    head_length: int
    stamp: str
    """When it began by its first line, YYYYMMDDTHHMMSS in whatever zone the log has; "" if that has no date."""
    path: str = ""
    device: int = 0
    inode: int = 0
    size: int = 0
    modified: float = 0.0
    length: int = 0
    """How long its text was at the last look: a compressed file's size says nothing of that."""
    tail: str = ""
    """The SHA-256 of the `tail_length` bytes in front of `tail_end`, which S3 has."""
    tail_length: int = 0
    tail_end: int = 0
    sent: float = 0.0
    """When the last segment went out, in seconds since 1970."""
    writer: str = field(default_factory=lambda: uuid.uuid4().hex)
    """By this the objects on S3 are known to be this record's."""
    past_unknown: bool = False
    """Whether S3 may have something of the file that is not among the pieces."""
    gone_since: float = 0.0
    """Since when its file is not there, in seconds since 1970; 0 while it is."""
    pieces: list[Piece] = field(default_factory=list)

    @property
    def stem(self) -> Stem:
        return self.service, self.name

    @property
    def offset(self) -> int:
        """How far S3 has its text."""
        for piece in self.pieces:
            if piece.end is None or piece.shipped < piece.end:
                return piece.shipped
        return self.pieces[-1].shipped if self.pieces else 0

    @property
    def unshipped(self) -> int:
        """How many bytes S3 has not, as far as was seen."""
        return max(0, self.length - self.offset)

    @property
    def open_piece(self) -> Piece | None:
        return self.pieces[-1] if self.pieces and self.pieces[-1].end is None else None

    def complete(self, found: Found) -> bool:
        """Whether S3 has all of this file, compressed and verified."""
        last = self.pieces[-1] if self.pieces else None
        return (
            self.unchanged(found)
            and last is not None
            and last.end == self.length
            and all(piece.packed for piece in self.pieces)
            and not self.past_unknown
        )

    def unchanged(self, found: Found) -> bool:
        """Whether the file is as it was at the last look."""
        return (self.device, self.inode, self.size, self.modified) == (
            *found.same,
            found.size,
            found.modified,
        )

    def note(self, found: Found, length: int) -> None:
        """Take down what was seen."""
        self.path, self.size, self.modified, self.length = str(found.path), found.size, found.modified, length
        self.device, self.inode = found.same

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Record:
        """TypeError or KeyError for what is no record."""
        return cls(**{**table, "pieces": [Piece(**piece) for piece in table["pieces"]]})


def stamp_of(line: bytes) -> str:
    """The first date in a line, as it sorts and as it can stand in a key; "" if there is none.

    >>> stamp_of(b'1.2.3.4 - - [22/Nov/2026:10:15:00 +0000] "GET / HTTP/1.1" 200')
    '20261122T101500'
    """
    if found := _DATE.search(line):
        year, month, day, *clock = (part.decode() for part in found.groups())
    elif found := _COMMON_DATE.search(line):
        day, name, year, *clock = (part.decode() for part in found.groups())
        try:
            month = f"{datetime.strptime(name, '%b').month:02d}"
        except ValueError:
            return ""
    else:
        return ""
    return f"{year}{month}{day}T{''.join(clock)}"
