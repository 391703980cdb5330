"""One local log on its way to S3: step by step, each written down before it is taken."""

from __future__ import annotations

import time
import zlib
from dataclasses import replace

from airflow_service.log_chain import LARGEST_SEGMENT, Writer
from airflow_service.log_chain.writing import new_id
from airflow_service.object_store import NoRight, StoreError
from airflow_service.task_logs.followed import Followed
from airflow_service.task_logs.journal import Keeper, Pending, Run
from airflow_service.task_logs.local_file import Stretch
from airflow_service.task_logs.runs import Unchanged, extended
from airflow_service.task_logs.tail import LENGTH, Tail

MOST_AT_ONCE = 1 << 30
"""Bytes that are sent to the final object at once: whoever is killed meanwhile has sent them in vain."""
# Bytes of a file that are read before it is told that this gets on.
_READ = 64 << 20


class Shipment(Followed):
    """A local log, its journal, and its text on S3.

    Whoever makes one holds the log's lock. Methods raise StoreError, and OSError for the local disk.
    """

    def __init__(self, keeper: Keeper, relative: str, writer: Writer) -> None:
        super().__init__(keeper, relative)
        self._writer = writer
        self._unchanged = Unchanged(self._file)
        self.moved = time.monotonic()
        """When something last came through."""
        self.sent = self.moved
        """When bytes that are to be sent at once were last read."""

    def step(self) -> int:
        """Ship a segment; returns its length, 0 if nothing waits. It ends at a line's end, if it can."""
        self._settle_all()
        data = self._next()
        if not data:
            return 0
        start = self.journal.shipped
        pending = self._written_down(start, start + len(data), zlib.crc32(data), is_segment=True)
        self._append(pending, data)
        return len(data)

    def prepare(self) -> None:
        """Have less to do at the end, if the log is large."""
        self._writer.prepare(self._local)

    def finish(self) -> None:
        """Ship what waits, merge, and close the journal."""
        self._grace = 0.0
        while self.waiting() > LARGEST_SEGMENT and self._send_at_once():
            pass
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
                # Somebody has deleted it there. What is here follows anew, if the next look does not find it.
                self._save(replace(self._doubted(self._file.size), end=None))
                raise StoreError(f"merge {self.journal.relative}: {wrong}")
            self.moved = time.monotonic()
            self._save(replace(self.journal, merged=True, end=end, runs=()))

    def keep(self) -> None:
        """Leave the journal open: somebody may still write to the file."""
        self._keeper.save(self.journal)

    def _settle_all(self) -> None:
        """Bring to an end what was begun before, and find where in the file that begins which is to be shipped."""
        self._look()
        if self.journal.pending is not None:
            self._settle(self.journal.pending)
        if self.journal.found and not self.journal.shipped:
            self._adopt()

    def _next(self) -> bytes:
        """What comes behind what is shipped. A file that was cut, and has grown beyond that, is begun anew."""
        start = self.journal.shipped
        end = min(start + LARGEST_SEGMENT, self._file.size)
        data = self._file.read(start, self._file.line_end(start, end))
        # Looked at afterwards, so that these bytes are behind it, whenever the file was cut.
        if self._is_behind_what_is_shipped():
            return data
        self._anew(self._file.stat())
        self._settle_all()
        return self._next()

    def _send_at_once(self) -> bool:
        """Send what waits straight to the final object. False if that is left to the next step."""
        self._settle_all()
        start = self.journal.shipped
        end = min(start + MOST_AT_ONCE, self._file.size)
        if end - start <= LARGEST_SEGMENT:
            return False
        stretch = Stretch(self._file, start, end)
        crc = self._crc(start, end)
        if not self._is_behind_what_is_shipped():
            return False
        self._extend(self._written_down(start, end, crc, is_segment=False), stretch)
        return True

    def _crc(self, start: int, end: int) -> int:
        crc = 0
        for at in range(start, end, _READ):
            crc = self._file.crc(at, min(at + _READ, end), crc)
            self.sent = time.monotonic()
        return crc

    def _written_down(self, start: int, end: int, crc: int, *, is_segment: bool) -> Pending:
        at = self.journal.end if self.journal.end is not None else self._end()
        pending = Pending(new_id(), start, end, at, crc, is_segment)
        self._save(replace(self.journal, pending=pending, merged=False))
        return pending

    def _append(self, pending: Pending, data: bytes) -> None:
        """Add a piece to the text as a segment, if it was not added before."""
        metadata = {"writer": self.journal.writer, "range": f"{pending.start}-{pending.end}"}
        at = self._writer.append(data, pending.id, pending.at, metadata, self._moved)
        tail = (self._tail + data[-LENGTH:])[-LENGTH:]
        self._added(pending, at, extended(self.journal.runs, at, pending.start, data), tail)

    def _extend(self, pending: Pending, stretch: Stretch) -> None:
        """The same by way of the final object."""

        def body(start: int, end: int) -> bytes:
            self.sent = time.monotonic()
            return stretch.read(start, end)

        length = pending.end - pending.start
        at = self._writer.extend(length, pending.id, pending.at, body, self._local, self._moved)
        # All of the text is in the final object.
        self._added(pending, at, (), stretch.last)

    def _moved(self, at: int) -> None:
        assert self.journal.pending is not None
        self._save(replace(self.journal, pending=replace(self.journal.pending, at=at)))

    def _added(self, pending: Pending, at: int, runs: tuple[Run, ...], tail: bytes) -> None:
        end = at + pending.end - pending.start
        self.moved = time.monotonic()
        self._tail = tail
        # Written down with the next step; whoever continues before repeats this one, which changes nothing.
        self.journal = replace(
            self.journal,
            shipped=pending.end,
            mark=end,
            end=end,
            pending=None,
            runs=runs,
            tail=Tail.of(tail),
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
        stretch = Stretch(self._file, pending.start, pending.end)
        if self._is_here(pending):
            if pending.is_segment:
                self._append(pending, self._file.read(pending.start, pending.end))
            else:
                self._extend(pending, stretch)
            return
        # The file was cut or replaced meanwhile: its bytes can be had nowhere.
        self._save(replace(self._doubted(self._file.size), pending=None))

    def _adopt(self) -> None:
        """Leave out what was in the file before, if the text has it already.

        It has if it ends with it, or where it was once shipped to; or if the text is the file's beginning.
        """
        found, end = self.journal.found, self._end()
        places = [(found, end), (min(found, end), min(found, end))]
        if self.journal.mark is not None:
            places.insert(0, (found, self.journal.mark))
        shipped, mark = next((one for one in places if self._agree(*one, end)), (0, None))
        self._tail = self._file.read(max(0, shipped - LENGTH), shipped)
        tail = Tail.of(self._tail) if shipped else None
        self.journal = replace(self.journal, shipped=shipped, found=0, mark=mark, end=end, tail=tail)

    def _agree(self, here: int, there: int, end: int) -> bool:
        """Whether what is in front of a place in the file is in front of one in the text, as far as it is compared."""
        length = min(here, there, LENGTH)
        if not length or there > end:
            return False
        return self._writer.read(there - length, there) == self._file.read(here - length, here)

    def _local(self, start: int, end: int) -> bytes | None:
        """Bytes of the text from the local file, if they are there and as they were shipped."""
        return self._unchanged.read(self.journal.runs, start, end)
