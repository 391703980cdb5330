"""Many slow calls at once, given up at once when one fails or somebody interrupts."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    call: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, as they come; raises the first call's failure.

    Nothing new is begun after a failure, and what is under way is not waited for:
    the standard pool would keep an interrupted program until its slowest call
    has run out of time.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    done: queue.SimpleQueue[tuple[Item, Result | BaseException, bool]] = queue.SimpleQueue()
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, call(item), True))
            except BaseException as error:
                done.put((item, error, False))

    for _ in range(min(workers, len(items))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in items:
            item, result, succeeded = done.get()
            if not succeeded:
                assert isinstance(result, BaseException)
                raise result
            yield item, result  # type: ignore[misc]  # a failure was raised above
    finally:
        stopped.set()
