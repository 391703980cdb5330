"""The log on this machine's disk: each line one write, and no failure of it is the task's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o640
FOLDER_MODE = 0o750
GATHERED = 16 << 20
"""Bytes of a log that may not count as shipped although S3 takes all: a segment that is gathered, and one before it,
which is not written down yet."""
_LOOK_EVERY = 1.0
"""Seconds between two looks at whether the file is still there, and at how much waits."""


class LocalLog:
    """An open log file. Not safe to use from two threads at once; `logging` holds a lock.

    `waiting` gives the bytes of the file that are not on S3 yet; above `limit`, lines are counted
    and not kept.
    """

    def __init__(self, path: Path, limit: int, waiting: Callable[[int], int]) -> None:
        self.path = path
        self._limit = limit
        self._waiting = waiting
        self._file: int | None = None
        self._looked = 0.0
        self._lost = 0
        self._why = ""
        self._torn = False
        self._full = False
        self.open()

    def open(self) -> None:
        """Open the file, making what is missing. Raises OSError."""
        make_folders(self.path.parent)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.open(self.path, flags, FILE_MODE)
        self.close()
        self._file = file
        with suppress(OSError):  # the umask may be stricter than the mode; only the owner may change it
            if os.fstat(file).st_mode & 0o777 != FILE_MODE:
                os.fchmod(file, FILE_MODE)

    def write(self, line: str) -> None:
        """Write a line. Raises nothing: what cannot be written is counted, and told when it can."""
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY:
            self._looked = now
            self._look()
        if self._full:
            self._lose(f"more than {self._limit >> 20} MiB wait for S3")
            return
        if self._lost or self._torn:
            line = self._notice() + line
        try:
            self._put(line.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            self.write(line.encode("utf-8", "backslashreplace").decode())
        except OSError as error:
            self._lose(os.strerror(error.errno) if error.errno else str(error))

    def _put(self, data: bytes) -> None:
        if self._file is None:
            self.open()
        file = self._file
        assert file is not None
        sent = os.write(file, data)
        if sent == len(data):
            self._lost, self._torn = 0, False
            return
        # The disk is full, or the line is larger than one write takes.
        while sent < len(data):
            try:
                sent += os.write(file, data[sent : sent + (1 << 20)])
            except OSError:
                self._torn = True
                raise
        self._lost, self._torn = 0, False

    def _notice(self) -> str:
        start = "\n" if self._torn else ""
        if not self._lost:
            return start
        return f"{start}*** {self._lost} lines could not be kept here: {self._why}\n"

    def _lose(self, why: str) -> None:
        self._lost += 1
        self._why = why

    def _look(self) -> None:
        try:
            if self._file is None:
                self.open()
            assert self._file is not None
            here = os.fstat(self._file)
            if here.st_size > self._limit:
                self._full = self._waiting(here.st_size) > self._limit
            else:
                self._full = False
            there = self.path.stat()
            if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
                self.open()
        except FileNotFoundError:
            with suppress(OSError):
                self.open()
        except OSError:
            return

    def close(self) -> None:
        """Tell what was lost, if it can be told now, and close."""
        if self._file is None:
            return
        if self._lost:
            with suppress(OSError):
                self._put(self._notice().encode())
        with suppress(OSError):
            os.close(self._file)
        self._file = None


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, for the service's user and group alone, whatever the umask."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for one in reversed(missing):
        with suppress(FileExistsError):
            one.mkdir(FOLDER_MODE)
            one.chmod(FOLDER_MODE)
