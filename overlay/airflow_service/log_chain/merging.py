"""The bytes of a merged log: from this machine's disk, from the store, or copied within the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from airflow_service.log_chain.beside import start
from airflow_service.log_chain.chain import Piece
from airflow_service.object_store import Changed, ObjectStore
from airflow_service.object_store.uploads import LEAST_PART, MOST_COPIED, Upload

Local = Callable[[int, int], bytes | None]
"""The bytes [start, end) of the text, if this machine has them all, unchanged; else None."""

PART = 8 << 20
"""Bytes; a smaller log is stored in one request."""
_COPIES_AT_ONCE = 8


def build(
    store: ObjectStore,
    name: str,
    pieces: Sequence[Piece],
    etag: str | None,
    metadata: dict[str, str],
    local: Local | None,
) -> None:
    """Store the pieces' bytes under one name. Raises Changed or Exists if somebody else was faster."""
    if pieces[-1].end <= PART:
        body = b"".join(_bytes(store, piece, local) for piece in pieces)
        if etag is None:
            store.create(name, body, metadata)
        else:
            store.replace(name, etag, body, metadata)
        return
    upload = Upload(store, name, metadata)
    try:
        add_parts(upload, store, parts(pieces), local)
        upload.complete(etag)
    except BaseException:
        # If it was completed and the answer lost, there is nothing to abort any more.
        upload.abort()
        raise


def add_parts(upload: Upload, store: ObjectStore, groups: Iterable[list[Piece]], local: Local | None) -> None:
    """Add each group of pieces as a part: copied within the store if it is one large piece."""
    # The threads are known by the name of the one that they work for.
    prefix = f"{threading.current_thread().name}-copy"
    with ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix=prefix) as pool:
        waiting: list[Future[None]] = []
        for part in groups:
            number = upload.next_number()
            if len(part) == 1 and part[0].length >= LEAST_PART:
                one = part[0]
                waiting.append(
                    start(pool, upload.copy, number, one.name, one.etag, one.offset, one.offset + one.length)
                )
            else:
                # In this thread, so that one part at a time is in memory.
                upload.part(number, b"".join(_bytes(store, piece, local) for piece in part))
        for future in waiting:
            future.result()


def parts(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Cut a text into parts: all but the last of LEAST_PART bytes or more, those of one piece to be copied.

    Small pieces are gathered until they are enough; a large one that follows too few is cut.
    """
    gathered: list[Piece] = []
    for whole in pieces:
        piece = whole
        have = sum(one.length for one in gathered)
        if have and have + piece.length >= LEAST_PART:
            # Take what lacks, and more if the rest would be too small to be copied.
            lacks = max(0, LEAST_PART - have)
            take = lacks if piece.length - lacks >= LEAST_PART else piece.length
            head, rest = piece.cut(take)
            yield [*gathered, *([head] if take else [])]
            gathered = []
            if rest is None:
                continue
            piece = rest
        while piece.length > MOST_COPIED:
            head, rest = piece.cut(MOST_COPIED // 2)
            yield [head]
            piece = rest or piece
        if piece.length >= LEAST_PART:
            yield [piece]
        else:
            gathered.append(piece)
    if gathered:
        yield gathered


def _bytes(store: ObjectStore, piece: Piece, local: Local | None) -> bytes:
    if local is not None:
        found = local(piece.start, piece.end)
        if found is not None and len(found) == piece.length:
            return found
    body = store.read(piece.name, piece.offset, piece.offset + piece.length)
    if body is None or len(body) != piece.length:
        raise Changed(f"read {store.url(piece.name)}: it is not what it was a moment ago")
    return body
