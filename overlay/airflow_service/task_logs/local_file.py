"""A log on this machine's disk, as whoever ships it reads it."""

from __future__ import annotations

import errno
import os
import zlib
from contextlib import suppress
from pathlib import Path

from airflow_service.log_files import open_log
from airflow_service.task_logs.tail import LENGTH

BLOCK = 1 << 20
"""Bytes that are read at a time where nothing is kept of them."""
# How far from its end a segment's last newline is looked for.
_NEAR = 1 << 20


class LocalFile:
    """A file that is read by offsets, by several threads if need be. Methods raise OSError."""

    def __init__(self, folder: Path, relative: str) -> None:
        self._folder = folder
        self._relative = relative
        self._file: int | None = None

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def open(self) -> None:
        """Open what has the name now, if it is a regular file below the folder."""
        self.close()
        try:
            self._file = open_log(str(self._folder), self._relative)
        except ValueError as error:
            raise OSError(errno.EINVAL, f"{self._folder / self._relative}: {error}") from error

    def stat(self) -> os.stat_result:
        """Of what is open."""
        assert self._file is not None
        return os.fstat(self._file)

    @property
    def size(self) -> int:
        """In bytes; 0 if nothing is open."""
        return self.stat().st_size if self.is_open else 0

    def was_replaced(self) -> bool:
        """Whether another file has the name now; one that was removed only was not."""
        here = self.stat()
        with suppress(FileNotFoundError):
            there = (self._folder / self._relative).stat()
            return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
        return False

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end), as far as they are there."""
        if self._file is None:
            return b""
        blocks = []
        while start < end and (block := os.pread(self._file, end - start, start)):
            blocks.append(block)
            start += len(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def crc(self, start: int, end: int, crc: int = 0) -> int:
        """The CRC-32 of the bytes [start, end), as far as they are there, on top of another."""
        while start < end and (block := self.read(start, min(start + BLOCK, end))):
            crc = zlib.crc32(block, crc)
            start += len(block)
        return crc

    def line_end(self, start: int, end: int) -> int:
        """Where the last line ends that does so near `end`, or `end`; above `start`."""
        near = max(start, end - _NEAR)
        newline = self.read(near, end).rfind(b"\n")
        return near + newline + 1 if newline >= 0 else end

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Stretch:
    """Some bytes of a file that only grows: as soon as another text stands in their place, none are given."""

    def __init__(self, file: LocalFile, start: int, end: int) -> None:
        self._file = file
        self.start = start
        self.end = end
        self._first = file.read(start, min(start + LENGTH, end))
        self.last = file.read(max(start, end - LENGTH), end)
        """What stands in front of its end."""

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end) from its beginning on, as far as they are there."""
        data = self._file.read(self.start + start, self.start + end)
        # Looked at afterwards, so that these bytes are behind it, whenever the file was cut.
        is_same = self._file.read(self.start, self.start + len(self._first)) == self._first
        return data if is_same else b""
