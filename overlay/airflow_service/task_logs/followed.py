"""A local log that is followed, whatever is cut, removed or replaced under its name."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace

from airflow_service.task_logs.journal import Journal, Keeper, Pending
from airflow_service.task_logs.local_file import LocalFile

REPLACED = 2.0
"""Seconds that a file is followed after another one has its name: its writer may not know yet."""


class Followed:
    """A local log, and its journal: how far it has come. Methods raise OSError."""

    def __init__(self, keeper: Keeper, relative: str) -> None:
        self._keeper = keeper
        self._file = LocalFile(keeper.base, relative)
        self._replaced: float | None = None
        self._grace = REPLACED
        self._tail = b""
        """What stands in front of what is to be shipped next, as far as it is known."""
        self.journal = keeper.read(relative) or Journal(relative)

    def begin(self) -> None:
        """Write the journal, so that a sweep finds this log whatever happens to this process."""
        self._look()
        self._keeper.save(self.journal)

    def waiting(self) -> int:
        """How many bytes are not on S3 yet; a piece whose fate is not known counts."""
        size = self._look()
        return max(0, size - self.journal.shipped)

    def close(self) -> None:
        """Let go of the local file."""
        self._file.close()

    def _save(self, journal: Journal) -> None:
        self._keeper.save(journal)
        self.journal = journal

    def _is_behind_what_is_shipped(self) -> bool:
        tail, start = self.journal.tail, self.journal.shipped
        if not self._file.is_open or tail is None:
            return True
        self._tail = self._file.read(start - tail.length, start)
        return tail.is_of(self._tail)

    def _look(self) -> int:
        """The local file's size. Another file under the name, or one that was cut, begins anew.

        What was removed while it is open here is shipped to its end first.
        """
        if not self._file.is_open:
            with suppress(FileNotFoundError):
                self._open(self.journal.inode == 0)
        if not self._file.is_open:
            return self.journal.shipped
        here = self._file.stat()
        if here.st_size < self.journal.shipped:
            self._anew(here)
        elif here.st_size == self.journal.shipped and self.journal.pending is None:
            if not self._file.was_replaced():
                self._replaced = None
            elif self._has_waited():
                with suppress(FileNotFoundError):  # it has gone again
                    self._open(False)
                    here = self._file.stat()
        return here.st_size

    def _has_waited(self) -> bool:
        now = time.monotonic()
        self._replaced = now if self._replaced is None else self._replaced
        return now - self._replaced >= self._grace

    def _open(self, first: bool) -> None:
        self._file.open()
        here = self._file.stat()
        if first:
            self.journal = replace(self.journal, device=here.st_dev, inode=here.st_ino, found=here.st_size)
        elif (here.st_dev, here.st_ino) != (self.journal.device, self.journal.inode):
            self._anew(here)

    def _anew(self, here: os.stat_result) -> None:
        """Another file, perhaps: one of another device or inode, or one that was cut.

        It may be the same after a power cut or a move to another disk. What was under way tells at once,
        what is shipped by a look at the text, with the next step.
        """
        pending = self.journal.pending
        journal = self.journal if pending and self._is_here(pending) else self._doubted(here.st_size)
        self.journal = replace(journal, device=here.st_dev, inode=here.st_ino)
        self._replaced = None

    def _is_here(self, pending: Pending) -> bool:
        is_long_enough = self._file.size >= pending.end
        return is_long_enough and self._file.crc(pending.start, pending.end) == pending.crc

    def _doubted(self, size: int) -> Journal:
        """The journal of a file of which is not known whether it is the one that was shipped."""
        was = self.journal
        known = was.shipped or was.found
        found = min(size, known)
        mark = was.end if was.mark is None and was.shipped else was.mark
        mark = None if mark is None else mark - (known - found)
        self._tail = b""
        return replace(was, shipped=0, found=found, mark=mark, pending=None, runs=(), tail=None)
