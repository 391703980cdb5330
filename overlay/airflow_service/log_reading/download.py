"""The whole log as a stream: a block at a time, and an end that is told from a break."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from flask import Response

from airflow_service.log_reading.blocks import blocks_of
from airflow_service.log_reading.places import unbounded
from airflow_service.log_reading.reader import NOWHERE, Reader
from airflow_service.log_reading.source import Source


def attachment(name: str, blocks: Iterator[bytes], length: int | None = None) -> Response:
    """An answer that browsers store. With its length, they notice if it breaks off."""
    response = Response(blocks, mimetype="text/plain")
    response.content_length = length
    plain = re.sub(r"[^A-Za-z0-9._+-]", "_", name)
    names = f"filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["Content-Disposition"] = f"attachment; {names}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def whole_log(name: str, readers: Sequence[tuple[int, Reader]]) -> Response:
    """All tries, one after the other, as they are now; what is nowhere says so."""
    parts: list[tuple[bytes, Source | None, int]] = []
    failed = False
    for number, reader in readers:
        found = reader.find()
        head = f"*** Try {number}\n" if len(readers) > 1 else ""
        if found.source is None:
            head += "".join(f"*** {line}\n" for line in (NOWHERE, *found.told))
        source = unbounded(found.source) if found.source else None
        parts.append((head.encode("utf-8", "replace"), source, found.size))
        failed = failed or bool(found.troubles)
    if not parts:
        parts = [(b"*** No try of this task has begun.\n", None, 0)]
    if all(source is None for _, source, _ in parts):
        told = b"".join(head for head, _, _ in parts)
        return Response(told, status=503 if failed else 404, mimetype="text/plain")
    length = sum(len(head) + size for head, _, size in parts)
    # Between two tries, a line's end: the last line of a killed one has none.
    length += len(parts) - 1
    return attachment(name, _stream(parts), length)


def _stream(parts: Sequence[tuple[bytes, Source | None, int]]) -> Iterator[bytes]:
    for place, (head, source, size) in enumerate(parts):
        yield (b"\n" if place else b"") + head
        if source is not None:
            yield from blocks_of(source, 0, size)
