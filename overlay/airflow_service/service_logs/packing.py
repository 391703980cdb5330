"""A finished piece as one compressed object, read back before anything else of it may go."""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Iterable, Iterator

from airflow_service.object_store import Exists, ObjectStore, StoreError
from airflow_service.object_store.uploads import LEAST_PART, Upload
from airflow_service.service_logs.segments import Range, Taken

_PART = LEAST_PART
# What is decompressed at once, in bytes.
_BLOCK = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 6


class Differs(StoreError):
    """What is on S3 is not what is on disk."""


def pack(store: ObjectStore, name: str, which: Range, sha256: str, content: Iterable[bytes]) -> int:
    """Store `content`, compressed, under a name that is free or has just that; returns its size on S3 in bytes.

    `sha256` is that of the content. Holds a few parts of 5 MiB. Raises Taken if the name has something
    else, Differs if S3 gives back other bytes, and StoreError.
    """
    metadata = {**which.as_metadata(), "sha256": sha256}
    wrong: Exception = Differs(f"{store.url(name)} does not give back what was stored in it")
    try:
        _upload(store, name, metadata, _compressed(content, sha256, name))
    except Exists:
        # An earlier try, or another file's piece: what it holds decides.
        wrong = Taken(store.url(name))
    there = store.head(name) if holds(store, name, sha256) else None
    if there is None:
        raise wrong
    return there.size


def holds(store: ObjectStore, name: str, sha256: str) -> bool:
    """Whether an object, read and decompressed, has these bytes."""
    gathered, expand = hashlib.sha256(), zlib.decompressobj(_GZIP)
    try:
        for block in store.stream(name):
            while block:
                gathered.update(expand.decompress(block, _BLOCK))
                block = expand.unconsumed_tail
        gathered.update(expand.flush())
    except zlib.error:
        return False
    return expand.eof and gathered.hexdigest() == sha256


def _compressed(content: Iterable[bytes], sha256: str, name: str) -> Iterator[bytes]:
    """The parts of a gzip file, without a time in it: the same content gives the same bytes."""
    squeeze, gathered = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP), hashlib.sha256()
    waiting = bytearray()
    for block in content:
        gathered.update(block)
        waiting += squeeze.compress(block)
        while len(waiting) >= _PART:
            yield bytes(memoryview(waiting)[:_PART])
            del waiting[:_PART]
    if gathered.hexdigest() != sha256:
        raise Differs(f"the file for {name} changed while it was read")
    yield bytes(waiting + squeeze.flush())


def _upload(store: ObjectStore, name: str, metadata: dict[str, str], parts: Iterator[bytes]) -> None:
    first = next(parts)
    second = next(parts, None)
    if second is None:
        store.create(name, first, metadata)
        return
    waiting = deque((first, second))
    # Each part is let go of as soon as it is stored.
    del first, second
    upload = Upload(store, name, metadata)
    try:
        while waiting:
            upload.part(upload.next_number(), waiting.popleft())
        for part in parts:
            upload.part(upload.next_number(), part)
        upload.complete(None)
    except BaseException:
        upload.abort()
        raise
