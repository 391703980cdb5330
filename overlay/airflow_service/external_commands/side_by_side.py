"""Work on many things at once, with a bound on threads and on time."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

log = logging.getLogger(__name__)


def side_by_side(work: Callable[[K], R], items: Iterable[K], threads: int, deadline: float) -> dict[K, R]:
    """Call `work` for each item in at most so many threads; what was done by the deadline.

    The deadline is one of `time.monotonic()`. Whatever is still at work then goes on in a thread that holds
    up neither this call nor the end of the process; nothing new is begun. Items of which `work` raised are
    missing from the result, like those that were late.
    """
    waiting: queue.SimpleQueue[K] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[K, R] | None] = queue.SimpleQueue()
    for item in (listed := list(items)):
        waiting.put(item)

    def run() -> None:
        while time.monotonic() < deadline:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, work(item)))
            except Exception:
                log.exception("Work on %s failed", item)
                done.put(None)

    for _ in range(min(threads, len(listed))):
        # Not concurrent.futures: at the end of the process Python waits for its threads.
        threading.Thread(target=run, name="external-command", daemon=True).start()
    results: dict[K, R] = {}
    for _ in listed:
        try:
            result = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if result is not None:
            results[result[0]] = result[1]
    return results
