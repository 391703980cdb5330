"""Print logs as they are stored, or as they come."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from airflow_service.log_reading.blocks import blocks_of
from airflow_service.log_reading.catalogue import PACKED, Log
from airflow_service.log_reading.joined import WithLocalTail
from airflow_service.log_reading.on_machines import LocalFile
from airflow_service.log_reading.pages import page_before
from airflow_service.log_reading.source import NotThere, Source, Unreadable
from airflow_service.log_reading.stored import StoredText
from airflow_service.object_store import Changed, ObjectStore, StoreError

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
        self._told_ahead: set[str] = set()

    def print_all(self, logs: Iterable[Log], last: int | None) -> None:
        """Each log, or its last bytes, with its name before it if there are several. Raises StoreError.

        NotThere and Unreadable too; one that has gone since it was listed keeps no other back.
        """
        found = list(logs)
        gone: NotThere | None = None
        for log in found:
            if len(found) > 1:
                say(f"==> {log.name} <==")
            try:
                for _, data in self.parts(log, 0, last):
                    self.write(data)
            except NotThere as error:
                gone = NotThere(f"{log.name}: {error}")
        if gone:
            raise gone

    def parts(self, log: Log, start: int, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        """A log's text from an offset on, or its last lines, in parts: where each one ends, and its bytes."""
        end = start
        if not log.is_packed:
            try:
                for end, data in self._stored(log, start, last):
                    yield end, data
                return
            except (NotThere, Unreadable):
                # It may have been packed since it was listed, and its segments deleted.
                if not self._is_packed(log):
                    raise
        yield from self._unpacked(log, end, last if end == start else None)

    def _stored(self, log: Log, start: int, last: int | None) -> Iterator[tuple[int, bytes]]:
        source = self.source_of(log)
        size = source.size()
        if last is not None and size - start > last:
            page = page_before(source.read, *source.near(size - last, size, from_end=True))
            yield page.end, page.data
            return
        for block in blocks_of(source, start, size):
            start += len(block)
            yield start, block
        if isinstance(source, WithLocalTail) and source.ahead and log.name not in self._told_ahead:
            self._told_ahead.add(log.name)
            say(f"the last {source.ahead} bytes are of this machine: they are not shipped yet")

    def source_of(self, log: Log) -> Source:
        """The text in the store, and what this machine has beyond it."""
        stored = StoredText(self.store, log.name)
        return WithLocalTail(stored, LocalFile(str(self.folder), log.name))

    def _is_packed(self, log: Log) -> bool:
        with suppress(StoreError):
            return self.store.head(f"{log.name}{PACKED}") is not None
        return False

    def _unpacked(self, log: Log, start: int, last: int | None) -> Iterator[tuple[int, bytes]]:
        tail = b""
        end = 0
        for block in unpacked(self.store.stream(f"{log.name}{PACKED}")):
            new = block[max(0, start - end) :]
            end += len(block)
            if last is not None:
                tail = (tail + new)[-last - 1 :]
            elif new:
                yield end, new
        if tail:
            first = tail.find(b"\n") + 1 if len(tail) > (last or 0) else 0
            yield end, tail[first:]

    def write(self, data: bytes) -> None:
        if self.on_terminal:
            data = data.decode("utf-8", "replace").translate(_UNPRINTABLE).encode("utf-8", "replace")
        self.out.write(data)
        self.out.flush()


def unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The text of a gzip file, of one member or several. Raises Changed if it ends in its middle."""
    inflate, is_begun = zlib.decompressobj(_GZIP), False
    for block in blocks:
        while block:
            is_begun = True
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
                inflate, is_begun = zlib.decompressobj(_GZIP), False
    if rest := inflate.flush():
        yield rest
    if is_begun and not inflate.eof:
        raise Changed("the object is no whole gzip file: it ends in its middle")


def say(text: str) -> None:
    print(f"airflow-service logs: {text}", file=sys.stderr, flush=True)
