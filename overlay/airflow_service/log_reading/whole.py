"""A log as upstream's callers of a handler get it: whole, or a part after the other, and never an exception."""

from __future__ import annotations

from typing import Any

from airflow_service.log_reading.blocks import blocks_of
from airflow_service.log_reading.pages import page_after, page_before, whole_lines
from airflow_service.log_reading.places import sources_of, unbounded
from airflow_service.log_reading.reader import NOWHERE, Found, Reader
from airflow_service.log_reading.source import Source, Unreadable
from airflow_service.log_reading.tries import NoPlainName, try_of

WHOLE = 16 * 1024 * 1024
"""Bytes of a log that a call without metadata gets at most: its last ones."""
PART = 1024 * 1024
"""Bytes that a call with metadata gets at most."""


def read_one(
    handler: Any, ti: Any, number: int, metadata: dict[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """One try's log, or its next part, and what is to be handed in with the next call."""
    try:
        found = Reader(sources_of(handler, ti, number)).find()
        source = found.source
        if source is None:
            return _nowhere(found), {"end_of_log": True}
        source = unbounded(source)
        if metadata is None:
            return _whole(source, found.size), {"end_of_log": True}
        this = try_of(ti, number)
        quiet = _number(metadata, "quiet")
        is_last = bool(metadata.get("download_logs")) or this.is_settled(quiet)
        text, offset = _part(source, found.size, _number(metadata, "offset"), goes_on=not is_last)
        quiet = quiet + 1 if this.is_over and not text else 0
        over = is_last and offset >= found.size
        return text, {**metadata, "offset": offset, "quiet": quiet, "end_of_log": over}
    except (NoPlainName, Unreadable) as error:
        return f"*** {error}\n", {**(metadata or {}), "end_of_log": True}


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
