"""Bodies of requests and answers that are no plain bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator


class Watched(io.BytesIO):
    """Bytes that tell of it when some of them are sent: a large object may take long."""

    def __init__(self, body: bytes, tell: Callable[[], None]) -> None:
        super().__init__(body)
        self._tell = tell

    def read(self, size: int | None = -1) -> bytes:
        self._tell()
        return super().read(size)


class Nothing:
    """The body of no bytes."""

    def read(self) -> bytes:
        return b""

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Nothing is open."""
