"""Print logs as they are stored, or as they come."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from airflow_service.log_reading.blocks import blocks_of
from airflow_service.log_reading.catalogue import Log
from airflow_service.log_reading.joined import WithLocalTail
from airflow_service.log_reading.on_machines import LocalFile
from airflow_service.log_reading.pages import page_before
from airflow_service.log_reading.source import NotThere, Source, Unreadable
from airflow_service.log_reading.stored import StoredText
from airflow_service.object_store import Changed, ObjectStore, StoreError

POLL = 2.0
"""Seconds between two looks of who follows."""
# Of the logs that are followed, so many last ones may still grow.
_GROWING = 3
_ENDED = -1
_GZIP = 16 + zlib.MAX_WBITS
# On a terminal a log must not move the cursor, or set what the next command sees.
_UNPRINTABLE = {code: "�" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\r\t"}


class Printer:
    """Writes logs to `out`; what is said about them goes to standard error."""

    def __init__(self, store: ObjectStore, folder: Path, out: BinaryIO, *, on_terminal: bool) -> None:
        self.store = store
        self.folder = folder
        self.out = out
        self.on_terminal = on_terminal

    def print_all(self, logs: Iterable[Log], last: int | None) -> None:
        """Each log, or its last bytes, with its name before it if there are several. Raises StoreError."""
        found = list(logs)
        for log in found:
            if len(found) > 1:
                say(f"==> {log.name} <==")
            self.show(log, 0, last)

    def show(self, log: Log, start: int, last: int | None = None) -> int:
        """Print a log from an offset of its text on, or its last lines; returns where it ends."""
        if log.is_packed:
            return self._show_packed(log, start, last)
        source = self.source_of(log)
        size = source.size()
        if last is not None and size - start > last:
            page = page_before(source.read, *source.near(size - last, size, from_end=True))
            self.write(page.data)
            return page.end
        for block in blocks_of(source, start, size):
            self.write(block)
        if isinstance(source, WithLocalTail) and source.ahead:
            say(f"the last {source.ahead} bytes are of this machine: they are not shipped yet")
        return max(start, size)

    def source_of(self, log: Log) -> Source:
        """The text in the store, and what this machine has beyond it."""
        stored = StoredText(self.store, log.name)
        return WithLocalTail(stored, LocalFile(str(self.folder), log.name))

    def _show_packed(self, log: Log, start: int, last: int | None) -> int:
        tail = b""
        end = 0
        for block in unpacked(self.store.stream(f"{log.name}.gz")):
            skipped = max(0, start - end)
            end += len(block)
            if last is None:
                self.write(block[skipped:])
            else:
                tail = (tail + block[skipped:])[-last - 1 :]
        if last is not None:
            first = tail.find(b"\n") + 1 if len(tail) > last else 0
            self.write(tail[first:])
        return max(start, end)

    def write(self, data: bytes) -> None:
        if self.on_terminal:
            data = data.decode("utf-8", "replace").translate(_UNPRINTABLE).encode("utf-8", "replace")
        self.out.write(data)
        self.out.flush()

    def follow(self, find: Callable[[], Iterable[Log]], last: int) -> None:
        """Print what comes, from the last log on, also to logs that begin later, until somebody stops it."""
        ends: dict[str, int] = {}
        shown = trouble = ""
        while True:
            try:
                found = list(find())
                if not ends:
                    # Those before the last one have ended: they are not followed.
                    ends = {log.name: _ENDED for log in found[:-1]}
                for log in [one for one in found if ends.get(one.name) != _ENDED][-_GROWING:]:
                    is_first = log.name not in ends
                    if log.name != shown and (is_first or self._grown(log, ends[log.name])):
                        say(f"==> {log.name} <==")
                        shown = log.name
                    # A log that began while others were followed is shown from its beginning.
                    most = last if is_first and not any(end != _ENDED for end in ends.values()) else None
                    ends[log.name] = self.show(log, ends.get(log.name, 0), most)
                trouble = ""
            except (StoreError, Unreadable, NotThere) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    say(f"{trouble}; it is asked for again")
            time.sleep(POLL)

    def _grown(self, log: Log, end: int) -> bool:
        return log.is_packed or self.source_of(log).size() > end


def unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The text of a gzip file, of one member or several. Raises Changed if it ends in its middle."""
    inflate = zlib.decompressobj(_GZIP)
    for block in blocks:
        while block:
            # A megabyte at most, however well it is compressed.
            try:
                text = inflate.decompress(block, 1 << 20)
            except zlib.error as error:
                raise Changed(f"the object is no gzip file: {error}") from None
            if text:
                yield text
            block = inflate.unconsumed_tail
            if inflate.eof:
                block = inflate.unused_data
                inflate = zlib.decompressobj(_GZIP)
    if rest := inflate.flush():
        yield rest


def say(text: str) -> None:
    print(f"airflow-service logs: {text}", file=sys.stderr, flush=True)
