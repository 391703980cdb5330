"""A long text, block by block, through short failures."""

from __future__ import annotations

import time
from collections.abc import Iterator

from airflow_service.log_reading.source import Source, Unreadable

BLOCK = 4 * 1024 * 1024
"""Bytes that are read at once, and so are in memory."""
# Seconds to wait before each further attempt to read a block.
_WAITS = (0.5, 1.0, 2.0, 4.0)


def blocks_of(source: Source, start: int, end: int) -> Iterator[bytes]:
    """A range, block by block; one that cannot be read is tried again for some seconds. Raises Unreadable."""
    while start < end:
        _, until = source.near(start, min(end, start + BLOCK), from_end=False)
        data = _patiently(source, start, until)
        yield data
        start += len(data)


def _patiently(source: Source, start: int, end: int) -> bytes:
    for wait in _WAITS:
        try:
            return source.read(start, end)
        except Unreadable:
            time.sleep(wait)
    return source.read(start, end)
