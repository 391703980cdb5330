"""A log as upstream's callers of a handler get it: whole, or a part after the other, and never an exception."""

from __future__ import annotations

import time
from typing import Any

from airflow_service.log_reading.blocks import blocks_of
from airflow_service.log_reading.pages import page_after, page_before, whole_lines
from airflow_service.log_reading.places import sources_of, unbounded
from airflow_service.log_reading.reader import NOWHERE, Found, Reader
from airflow_service.log_reading.source import Source, Unreadable
from airflow_service.log_reading.tries import NoPlainName, Try, try_of

WHOLE = 16 * 1024 * 1024
"""Bytes of a log that a call without metadata gets at most: its last ones."""
PART = 1024 * 1024
"""Bytes that a call with metadata gets at most."""


def read_one(
    handler: Any, ti: Any, number: int, metadata: dict[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """One try's log, or its next part, and what is to be handed in with the next call.

    A place that cannot be asked now ends the log no sooner than the task does.
    """
    try:
        follows = _Follower(try_of(ti, number), metadata)
        found = Reader(sources_of(handler, ti, number)).find()
        source = found.source
        if source is None:
            return _nowhere(found), follows.after_trouble() if found.troubles else {"end_of_log": True}
        source = unbounded(source)
        if metadata is None:
            return _whole(source, found.size), {"end_of_log": True}
        is_last = follows.is_last()
        text, offset = _part(source, found.size, _number(metadata, "offset"), goes_on=not is_last)
        return text, follows.after(is_last and offset >= found.size, quiet=not text) | {"offset": offset}
    except NoPlainName as error:
        return f"*** {error}\n", {**(metadata or {}), "end_of_log": True}
    except Unreadable as error:
        return f"*** {error}\n", follows.after_trouble()


class _Follower:
    """Somebody who reads on, by what is handed in and out: since when nothing new has come."""

    def __init__(self, this: Try, metadata: dict[str, Any] | None) -> None:
        self._this = this
        self._metadata = metadata
        self._now = int(time.time())
        self._since = _number(metadata or {}, "quiet_since") or self._now

    def is_last(self) -> bool:
        """Whether what is found now is all that is to come, or asked for."""
        if self._metadata is None or self._metadata.get("download_logs"):
            return True
        return self._this.is_settled(self._now - self._since)

    def after(self, over: bool, *, quiet: bool) -> dict[str, Any]:
        """What is to be handed in with the next call."""
        since = self._since if self._this.is_over and quiet else 0
        return {**(self._metadata or {}), "quiet_since": since, "end_of_log": over}

    def after_trouble(self) -> dict[str, Any]:
        """The same, when there was nothing to be read."""
        return self.after(self.is_last(), quiet=True)


def _nowhere(found: Found) -> str:
    return "".join(f"*** {line}\n" for line in (NOWHERE, *found.told))


def _whole(source: Source, size: int) -> str:
    start = max(0, size - WHOLE)
    data = b"".join(blocks_of(source, start, size))
    page = page_before(lambda first, end: source.read(first, start) + data, start, size)
    left_out = f"*** The first {page.start} bytes are left out.\n" if page.start else ""
    return left_out + page.text


def _part(source: Source, size: int, offset: int, *, goes_on: bool) -> tuple[str, int]:
    """What follows the offset, up to a line's end, and the next offset."""
    if offset > size:
        # It was replaced by a shorter one.
        offset = 0
    start, end = source.near(offset, min(size, offset + PART), from_end=False)
    more = goes_on or end < size
    page = page_after(source.read, start, end, goes_on=more)
    if more:
        page = whole_lines(page)
    return page.text, page.end


def _number(metadata: dict[str, Any], name: str) -> int:
    value = metadata.get(name, 0)
    return value if isinstance(value, int) and value >= 0 else 0
