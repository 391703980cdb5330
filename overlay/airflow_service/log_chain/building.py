"""The bytes of a merged log: from this machine's disk, from the store, or copied within the store."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from airflow_service.log_chain.beside import Beside
from airflow_service.log_chain.chain import Piece
from airflow_service.object_store import Changed, ObjectStore, StoreError, Unreachable
from airflow_service.object_store.uploads import LEAST_PART, MOST_COPIED, MOST_PARTS, Upload

Local = Callable[[int, int], bytes | None]
"""The bytes [start, end) of the text, if this machine has them all, unchanged; else None. Called by several threads."""

PART = 8 << 20
"""Bytes; a smaller log is stored in one request."""
_AT_ONCE = 8
_TRIES = 2
_BLOCK = 128 << 10


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
    with Beside(_AT_ONCE, f"{threading.current_thread().name}-part") as beside:
        for part in groups:
            number = upload.next_number()
            one = part[0]
            if len(part) > 1 or (one.name and one.length < LEAST_PART):
                # In this thread, so that one such part at a time is in memory.
                _send(upload, number, b"".join(_bytes(store, piece, local) for piece in part))
            elif one.name:
                beside.start(upload.copy, number, one.name, one.etag, one.offset, one.offset + one.length)
            else:
                beside.start(_send, upload, number, _OnDisk(one, local))


def _send(upload: Upload, number: int, body: bytes | _OnDisk) -> None:
    """Send a part; again, if it did not come through: otherwise all parts would be sent again."""
    for pause in range(1, _TRIES):
        try:
            upload.part(number, body)
            return
        except Unreachable:
            time.sleep(0.1 * pause)
            if isinstance(body, _OnDisk):
                body.seek(0)
    upload.part(number, body)


class _OnDisk:
    """A file of a piece's bytes, which are read when they are sent: a part takes no memory."""

    def __init__(self, piece: Piece, local: Local | None) -> None:
        self._piece = piece
        self._local = local
        self._at = 0
        self._block = b""
        self._block_at = 0

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, fewer at a time, or all. Raises StoreError if they are here no more."""
        left = self._piece.length - self._at
        if size is None or size < 0:
            found = self._read(left)
        else:
            if not self._block_at <= self._at < self._block_at + len(self._block):
                # What sends asks for little at a time. Each thread has a block in memory.
                self._block_at, self._block = self._at, self._read(min(left, _BLOCK))
            begin = self._at - self._block_at
            found = self._block[begin : begin + size]
        self._at += len(found)
        return found

    def _read(self, length: int) -> bytes:
        return _on_disk(Piece("", self._piece.start + self._at, length), self._local)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._piece.length}[whence]
        self._at = origin + offset
        return self._at

    def tell(self) -> int:
        return self._at


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
        most, size = _sizes(piece)
        while piece.length > most:
            head, rest = piece.cut(size)
            yield [head]
            piece = rest or piece
        if piece.length >= LEAST_PART:
            yield [piece]
        else:
            gathered.append(piece)
    if gathered:
        yield gathered


def _sizes(piece: Piece) -> tuple[int, int]:
    """How long a part may be, and how long those are that a longer piece is cut into."""
    if piece.name:
        return MOST_COPIED, MOST_COPIED // 2
    size = max(PART, piece.length // (MOST_PARTS // 2))
    return size, size


def _bytes(store: ObjectStore, piece: Piece, local: Local | None) -> bytes:
    if not piece.name:
        return _on_disk(piece, local)
    if local is not None:
        found = local(piece.start, piece.end)
        if found is not None and len(found) == piece.length:
            return found
    body = store.read(piece.name, piece.offset, piece.offset + piece.length)
    if body is None or len(body) != piece.length:
        raise Changed(f"read {store.url(piece.name)}: it is not what it was a moment ago")
    return body


def _on_disk(piece: Piece, local: Local | None) -> bytes:
    found = local(piece.start, piece.end) if local is not None else None
    if found is None or len(found) != piece.length:
        raise StoreError(f"store the bytes {piece.start}-{piece.end} of a log: they are here no more")
    return found
