"""A line that holds packets back: a queue of time stamps, and a token bucket for its capacity.

Nothing here sleeps or reads a clock: each call is told the time, in seconds of
any clock that does not go back. `bridge.py` and `relay.py` do the waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

# Bytes that may leave at once after a pause: two packets, as a modem's own buffer would hold.
BURST = 3000
# Seconds that a packet may wait for its turn before the line drops it, as a full router does.
PATIENCE = 0.25


class Capacity:
    """Bytes a second, as a token bucket. Lines that share an object share the capacity."""

    def __init__(self, rate: float, burst: int = BURST) -> None:
        """`rate` in bytes a second; `burst`, in bytes, is what the bucket holds."""
        self.rate = rate
        self._saved = burst / rate
        self._paid_until = float("-inf")

    def take(self, now: float, size: int, patience: float) -> float | None:
        """When a packet that comes now has left.

        None if that is more than `patience` seconds away; it takes no tokens then.
        """
        # Tokens of a pause are kept up to the size of the bucket, and no longer.
        paid_until = max(self._paid_until, now - self._saved) + size / self.rate
        if paid_until - now > patience:
            return None
        self._paid_until = paid_until
        return max(now, paid_until)


class Line:
    """One direction of a path: what goes in comes out after the delay, in its order."""

    def __init__(self, delay: float, capacity: Capacity | None = None, patience: float = PATIENCE) -> None:
        """`delay` and `patience` in seconds; without a capacity a packet takes no time of its own."""
        self.delay = delay
        self.dropped = 0
        self._capacity = capacity
        self._patience = patience
        self._queue: deque[tuple[float, bytes]] = deque()

    def push(self, now: float, packet: bytes) -> bool:
        """Take a packet in; False if it waits too long for its turn and is dropped."""
        leaves: float | None = now
        if self._capacity is not None:
            leaves = self._capacity.take(now, len(packet), self._patience)
        if leaves is None:
            self.dropped += 1
            return False
        self._queue.append((leaves + self.delay, packet))
        return True

    def due(self, now: float) -> Iterator[bytes]:
        """The packets whose time has come; they are off the line then."""
        while self._queue and self._queue[0][0] <= now:
            yield self._queue.popleft()[1]

    def next_due(self) -> float | None:
        """When the next packet comes out; None if the line is empty."""
        return self._queue[0][0] if self._queue else None
