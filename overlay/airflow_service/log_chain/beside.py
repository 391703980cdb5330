"""Work beside the thread that asks for it, where there is a thread to be had."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  # boto3 does, and it cannot be when the interpreter goes down
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from types import TracebackType
from typing import ParamSpec

_P = ParamSpec("_P")


class Beside:
    """Some things at a time, each in a thread of its own; leaving it waits for all.

    No thread keeps its process alive, as those of a pool do: if a store hangs, an interpreter that ends
    would wait for every request that was still to be sent to it.
    """

    def __init__(self, at_once: int, name: str) -> None:
        self._at_once = at_once
        self._name = name
        self._running: set[Future[None]] = set()

    def start(self, work: Callable[_P, object], *arguments: _P.args, **named: _P.kwargs) -> None:
        """Do it as soon as few enough others are done; raises what one of them raised.

        It is done now where no thread can be had, as when the interpreter goes down, which is when the
        log of a supervisor is finished that a signal or an exception ends.
        """
        self._wait(self._at_once - 1)
        future: Future[None] = Future()
        do = partial(work, *arguments, **named)
        thread = threading.Thread(target=_do, args=(do, future), name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            do()
            return
        self._running.add(future)

    def _wait(self, most: int) -> None:
        """Until at most so many are running."""
        while len(self._running) > most:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()

    def __enter__(self) -> Beside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wait(0)
        finally:
            # What they work on may be taken away then.
            wait(self._running)


def _do(work: Callable[[], object], future: Future[None]) -> None:
    try:
        work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)
