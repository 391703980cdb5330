"""A log file on disk: opened without being led astray, and known again whatever logrotate did to it."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

CHUNK = 1 << 20
HEAD = 1024
"""A file is known by its first line, of which at most so many bytes count."""
TAIL = 1024
"""Whether what was shipped is still in front of what is to come: so many bytes of its end are looked at."""
_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# What logrotate, and Python's RotatingFileHandler, put behind a name: a number, or a date and a time.
_ROTATED = re.compile(r"[.-](?:\d{1,4}|\d{4}-?\d{2}-?\d{2}(?:[-.T]?\d{2,10})?)(?=$|\.(?:gz|bz2|xz)$)")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_FOLLOWING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnreadableFile(Exception):
    """A file that cannot be shipped as it is; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was when it was opened: its path, and what tells it from another."""

    path: Path
    device: int
    inode: int
    size: int
    modified: float
    """Seconds since 1970, by the file system's clock."""
    rotated: bool
    """Whether its name says that a writer has done with it, or soon will."""

    @property
    def compressed(self) -> bool:
        return self.rotated and self.path.suffix in _OPENERS

    @property
    def same(self) -> tuple[int, int]:
        """Device and inode: the same for a file that was renamed."""
        return self.device, self.inode


def unrotated_name(name: str) -> tuple[str, bool]:
    """The name that a file was written under, and whether rotation has given it another since.

    >>> unrotated_name("access.log.2.gz")
    ('access.log', True)
    """
    found = _ROTATED.search(name)
    # A name such as `2026-11-22.log` has its date in front, and nothing was put behind it.
    if found and found.start() > 0:
        return name[: found.start()], True
    return name, False


def look(path: Path, *, rotated: bool, below: Path) -> Found | None:
    """What is there now; None if it is no regular file, has gone, or lies behind a symbolic link below a folder.

    It is gone to step by step: a folder may become a link between a look at it and its use. Whoever opens
    or removes the file sees by its inode that it is the one that was found here.
    """
    try:
        here = os.open(below, _FOLDER)
        try:
            for step in path.parent.relative_to(below).parts:
                inner = os.open(step, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
                os.close(here)
                here = inner
            seen = os.stat(path.name, dir_fd=here, follow_symlinks=False)
        finally:
            os.close(here)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(seen.st_mode):
        return None
    return Found(path, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime, rotated)


@contextmanager
def opened(found: Found) -> Iterator[IO[bytes]]:
    """The file's text, uncompressed. UnreadableFile if the path leads to another file by now.

    No symbolic link is followed: who may write to a folder of logs could have anything shipped by one.
    """
    try:
        file = os.open(found.path, _NO_FOLLOWING)
    except OSError as error:
        raise UnreadableFile(f"{found.path} cannot be opened: {error.strerror}") from error
    with os.fdopen(file, "rb", buffering=0) as raw:
        seen = os.fstat(raw.fileno())
        if (seen.st_dev, seen.st_ino) != found.same or not stat.S_ISREG(seen.st_mode):
            raise UnreadableFile(f"{found.path} was replaced just now")
        try:
            if found.compressed:
                with _OPENERS[found.path.suffix](raw) as text:
                    yield cast(IO[bytes], text)
            else:
                yield raw
        except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableFile(f"{found.path} cannot be read: {error}") from error


def pieces(file: IO[bytes], start: int, end: int | None = None) -> Iterator[bytes]:
    """The bytes from `start` to `end`, or to the end of the file, at most CHUNK at once."""
    file.seek(start)
    left = CHUNK if end is None else end - start
    while left > 0 and (part := file.read(min(CHUNK, left))):
        yield part
        left = CHUNK if end is None else left - len(part)


def first_line(file: IO[bytes]) -> tuple[bytes, bool]:
    """The first line, at most HEAD bytes of it; and whether no more can come to it."""
    file.seek(0)
    start = b"".join(pieces(file, 0, HEAD))
    line, newline, _ = start.partition(b"\n")
    return line + newline, bool(newline) or len(start) == HEAD


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(file: IO[bytes], start: int, end: int) -> tuple[str, int]:
    """The SHA-256 of a stretch, and how many bytes it has: fewer if the file ends before."""
    gathered, length = hashlib.sha256(), 0
    for part in pieces(file, start, end):
        gathered.update(part)
        length += len(part)
    return gathered.hexdigest(), length


def length_of(file: IO[bytes], at_least: int = 0) -> int:
    """How many bytes the text has; read to the end, since a compressed file does not say."""
    return at_least + sum(len(part) for part in pieces(file, at_least))


def last_line_end(file: IO[bytes], start: int, end: int) -> int:
    """Behind the last newline between two offsets; `start` if there is none."""
    while end > start:
        begin = max(start, end - CHUNK)
        found = b"".join(pieces(file, begin, end)).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return start


def remove(found: Found) -> bool:
    """Remove a file, if it is still the one that was looked at, unchanged."""
    with suppress(FileNotFoundError, NotADirectoryError):
        folder = os.open(found.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            seen = os.stat(found.path.name, dir_fd=folder, follow_symlinks=False)
            if (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime) == (
                *found.same,
                found.size,
                found.modified,
            ):
                os.unlink(found.path.name, dir_fd=folder)
                return True
        finally:
            os.close(folder)
    return False
