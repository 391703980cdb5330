"""One local log on its way to S3: step by step, each written down before it is taken."""

from __future__ import annotations

import errno
import os
import time
import zlib
from contextlib import suppress
from dataclasses import replace

from airflow_service.log_chain import LARGEST_SEGMENT, Writer
from airflow_service.log_chain.writing import new_id
from airflow_service.log_files import open_log
from airflow_service.object_store import NoRight, StoreError
from airflow_service.task_logs.journal import Journal, Keeper, Pending, Run
from airflow_service.task_logs.tail import LENGTH, Tail

_BLOCK = 1 << 20
_MOST_RUNS = 64
# Bytes that are read through to see whether a run is as it was, for one small piece of it; more for many.
_CHEAP = 32 << 20
_WORTH_IT = 8
REPLACED = 2.0
"""Seconds that a file is followed after another one has its name: its writer may not know yet."""
# How far from its end a segment's last newline is looked for.
_NEAR = 1 << 20


class Shipment:
    """A local log, its journal, and its text on S3.

    Whoever makes one holds the log's lock. Methods raise StoreError, and OSError for the local disk.
    """

    def __init__(self, keeper: Keeper, relative: str, writer: Writer) -> None:
        self._keeper = keeper
        self._path = keeper.base / relative
        self._writer = writer
        self._file: int | None = None
        # How much of a run was found as it was, by where it begins in the text, and the sum of that.
        self._good: dict[int, tuple[int, int]] = {}
        self._bad: set[Run] = set()
        self._replaced: float | None = None
        self._grace = REPLACED
        self._asked = 0
        self._tail = b""
        self.journal = keeper.read(relative) or Journal(relative)
        self.moved = time.monotonic()
        """When something last came through."""

    def begin(self) -> None:
        """Write the journal, so that a sweep finds this log whatever happens to this process."""
        self._look()
        self._keeper.save(self.journal)

    def waiting(self) -> int:
        """How many bytes are not on S3 yet; a piece whose fate is not known counts."""
        size = self._look()
        return max(0, size - self.journal.shipped)

    def step(self) -> int:
        """Ship a segment; returns its length, 0 if nothing waits. It ends at a line's end, if it can."""
        self._look()
        if self.journal.pending is not None:
            self._settle(self.journal.pending)
        data = self._next()
        if not data:
            return 0
        start = self.journal.shipped
        at = self.journal.end if self.journal.end is not None else self._end()
        pending = Pending(new_id(), start, start + len(data), at, zlib.crc32(data))
        self._save(replace(self.journal, pending=pending, merged=False))
        self._append(pending, data)
        return len(data)

    def prepare(self) -> None:
        """Have less to do at the end, if the log is large."""
        self._writer.prepare(self._local)

    def finish(self) -> None:
        """Ship what waits, merge, and close the journal."""
        self._grace = 0.0
        while self.step():
            pass
        self.merge()
        self._keeper.save(self.journal, done=True)

    def is_worth_merging(self) -> bool:
        """Whether at least half of the text came since the last merge: to merge is to make all of it anew."""
        return 2 * sum(run.length for run in self.journal.runs) >= (self.journal.end or 0)

    def merge(self) -> None:
        """Make one object of the text, verified."""
        if self.journal.pending is not None:
            self._settle(self.journal.pending)
        if self.journal.end is None and not self.journal.shipped:
            self.journal = replace(self.journal, merged=True)  # nothing was ever written
        if not self.journal.merged:
            end = self._writer.merge(self._local)
            if end < (self.journal.end or 0):
                wrong = f"it ends at {end}, and was stored up to {self.journal.end}"
                raise StoreError(f"merge {self.journal.relative}: {wrong}")
            self.moved = time.monotonic()
            self._save(replace(self.journal, merged=True, end=end, runs=()))

    def keep(self) -> None:
        """Leave the journal open: somebody may still write to the file."""
        self._keeper.save(self.journal)

    def close(self) -> None:
        """Let go of the local file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _next(self) -> bytes:
        """What comes behind what is shipped. A file that was cut, and has grown beyond that, is begun anew."""
        if self.journal.found and not self.journal.shipped:
            self._adopt()
        start, tail = self.journal.shipped, self.journal.tail
        data = self._read(start, self._cut(start))
        if self._file is None or tail is None:
            return data
        # Looked at afterwards, so that these bytes are behind it, whenever the file was cut.
        self._tail = self._read(start - tail.length, start)
        if tail.is_of(self._tail):
            return data
        self._anew(os.fstat(self._file))
        return self._next()

    def _save(self, journal: Journal) -> None:
        self._keeper.save(journal)
        self.journal = journal

    def _append(self, pending: Pending, data: bytes) -> None:
        def moved(at: int) -> None:
            assert self.journal.pending is not None
            self._save(replace(self.journal, pending=replace(self.journal.pending, at=at)))

        metadata = {"writer": self.journal.writer, "range": f"{pending.start}-{pending.end}"}
        at = self._writer.append(data, pending.id, pending.at, metadata, moved)
        self.moved = time.monotonic()
        self._tail = (self._tail + data[-LENGTH:])[-LENGTH:]
        # Written down with the next step; whoever continues before repeats this one, which changes nothing.
        self.journal = replace(
            self.journal,
            shipped=pending.end,
            mark=at + len(data),
            end=at + len(data),
            pending=None,
            runs=_extended(self.journal.runs, at, pending.start, data),
            tail=Tail.of(self._tail),
        )

    def _end(self) -> int:
        """Where the text ends, or 0 where that may not be asked: what is stored there is never overwritten."""
        try:
            return self._writer.end()
        except NoRight:
            # Without the right to list, S3 says so of what is not there. What is created tells whether it is that.
            return 0

    def _settle(self, pending: Pending) -> None:
        """Repeat a piece whose fate is not known: it is appended, or was already."""
        if self._is_here(pending):
            self._append(pending, self._read(pending.start, pending.end))
            return
        # The file was cut or replaced meanwhile: its bytes can be had nowhere.
        size = os.fstat(self._file).st_size if self._file is not None else 0
        self._save(replace(self._doubted(size), pending=None))

    def _adopt(self) -> None:
        """Leave out what was in the file before, if the text has it already.

        It has if it ends with it, or where it was once shipped to; or if the text is the file's beginning.
        """
        found, end = self.journal.found, self._end()
        places = [(found, end), (min(found, end), min(found, end))]
        if self.journal.mark is not None:
            places.insert(0, (found, self.journal.mark))
        shipped, mark = next((one for one in places if self._agree(*one, end)), (0, None))
        self._tail = self._read(max(0, shipped - LENGTH), shipped)
        tail = Tail.of(self._tail) if shipped else None
        self.journal = replace(self.journal, shipped=shipped, found=0, mark=mark, end=end, tail=tail)

    def _agree(self, here: int, there: int, end: int) -> bool:
        """Whether what is in front of a place in the file is in front of one in the text, as far as it is compared."""
        length = min(here, there, LENGTH)
        if not length or there > end:
            return False
        return self._writer.read(there - length, there) == self._read(here - length, here)

    def _look(self) -> int:
        """The local file's size. Another file under the name, or one that was cut, begins anew.

        What was removed while it is open here is shipped to its end first.
        """
        if self._file is None:
            with suppress(FileNotFoundError):
                self._open(self.journal.inode == 0)
        if self._file is None:
            return self.journal.shipped
        here = os.fstat(self._file)
        if here.st_size < self.journal.shipped:
            self._anew(here)
        elif here.st_size == self.journal.shipped and self.journal.pending is None:
            with suppress(FileNotFoundError):
                there = self._path.stat()
                if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                    self._replaced = None
                elif self._has_waited():
                    self.close()
                    self._open(False)
                    assert self._file is not None
                    here = os.fstat(self._file)
        return here.st_size

    def _has_waited(self) -> bool:
        now = time.monotonic()
        self._replaced = now if self._replaced is None else self._replaced
        return now - self._replaced >= self._grace

    def _open(self, first: bool) -> None:
        try:
            self._file = open_log(str(self._keeper.base), self.journal.relative)
        except ValueError as error:
            raise OSError(errno.EINVAL, f"{self._path}: {error}") from error
        here = os.fstat(self._file)
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
        data = self._read(pending.start, pending.end)
        return len(data) == pending.end - pending.start and zlib.crc32(data) == pending.crc

    def _doubted(self, size: int) -> Journal:
        """The journal of a file of which is not known whether it is the one that was shipped."""
        was = self.journal
        known = was.shipped or was.found
        found = min(size, known)
        mark = was.end if was.mark is None and was.shipped else was.mark
        mark = None if mark is None else mark - (known - found)
        self._tail = b""
        return replace(was, shipped=0, found=found, mark=mark, pending=None, runs=(), tail=None)

    def _read(self, start: int, end: int) -> bytes:
        if self._file is None:
            return b""
        blocks = []
        while start < end and (block := os.pread(self._file, end - start, start)):
            blocks.append(block)
            start += len(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _cut(self, start: int) -> int:
        """Where the next segment ends: behind the last newline, if one is near the end of what may go."""
        end = min(start + LARGEST_SEGMENT, self._look())
        near = max(start, end - _NEAR)
        newline = self._read(near, end).rfind(b"\n")
        return near + newline + 1 if newline >= 0 else end

    def _local(self, start: int, end: int) -> bytes | None:
        """Bytes of the text from the local file, if they are there and as they were shipped."""
        self._asked += 1
        for run in self.journal.runs:
            if run.at <= start and end <= run.at + run.length:
                if run.length > _CHEAP and self._asked < _WORTH_IT:
                    return None
                offset = run.start - run.at
                return self._read(start + offset, end + offset) if self._is_good(run) else None
        return None

    def _is_good(self, run: Run) -> bool:
        """Whether its bytes are as they were shipped; what was read before as its beginning is not read again."""
        length, crc = self._good.get(run.at, (0, 0))
        if run in self._bad or length > run.length:
            return False
        if length < run.length:
            crc = self._crc(run, length, crc)
        if crc != run.crc:
            self._bad.add(run)
            return False
        self._good[run.at] = run.length, crc
        return True

    def _crc(self, run: Run, done: int, crc: int) -> int:
        at, end = run.start + done, run.start + run.length
        while at < end and (block := self._read(at, min(at + _BLOCK, end))):
            crc = zlib.crc32(block, crc)
            at += len(block)
        return crc


def _extended(runs: tuple[Run, ...], at: int, start: int, data: bytes) -> tuple[Run, ...]:
    last = runs[-1] if runs else None
    if last is not None and (last.at + last.length, last.start + last.length) == (at, start):
        longer = replace(last, length=last.length + len(data), crc=zlib.crc32(data, last.crc))
        return (*runs[:-1], longer)
    return (*runs[-_MOST_RUNS + 1 :], Run(at, start, len(data), zlib.crc32(data)))
