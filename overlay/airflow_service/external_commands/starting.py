"""The moment between a platform's answer and the storing of a command's id, in which nobody else knows of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_HELD = (signal.SIGTERM, signal.SIGALRM)
"""What ends a task: a kill, and the end of its `execution_timeout`."""


@contextmanager
def starting(seconds: float | None = None) -> Iterator[None]:
    """Have a kill of the task wait while its operator starts a command and pushes its id.

    Otherwise a command could run on that nobody knows of. What came within the block comes again at its end,
    or after `seconds` of waiting (default: half of `[service] external_command_timeout`), whatever is first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = _Held(seconds if seconds is not None else _patience())
    try:
        yield
    finally:
        held.let_go()


class _Held:
    """Signals that wait; Python runs handlers in the main thread alone, as all of this but the timer's."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._came: list[int] = []
        self._timer: threading.Timer | None = None
        self._impatient = False
        self._before: dict[int, Callable[[int, Any], Any]] = {}
        for number in _HELD:
            handler = signal.getsignal(number)
            # What Python does not handle ends the process, and is nothing that cleans up.
            if callable(handler):
                self._before[number] = handler
                signal.signal(number, self._hold)

    def let_go(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._timer is not None:
            self._timer.cancel()
        for number in dict.fromkeys(self._came):
            os.kill(os.getpid(), number)

    def _hold(self, number: int, frame: Any) -> None:
        if self._impatient:
            self._came.clear()
            self._before[number](number, frame)
            return
        self._came.append(number)
        if self._timer is None:
            self._timer = threading.Timer(self._seconds, self._give_up, [number])
            self._timer.daemon = True
            self._timer.start()

    def _give_up(self, number: int) -> None:
        self._impatient = True
        os.kill(os.getpid(), number)


def _patience() -> float:
    from airflow_service.external_commands.settling import settings

    return settings().external_command_timeout / 2
