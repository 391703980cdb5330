"""A place that may hang, asked for a limited time: a webserver has other pages to serve."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from airflow_service.log_reading.source import Source, Unreadable

PATIENCE = 10.0
"""Seconds that one look waits for a place, with all its requests and with getting credentials."""
# Calls of a process that may hang on after nobody waits for them any more, for each kind of place.
# Above that it is not asked again before one of them has ended: all requests have time-outs of their own.
_MOST_HANGING = 2

T = TypeVar("T")


class _Hanging:
    """How many calls hang that were given up."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def count(self, name: str) -> int:
        return self._counts.get(name, 0)

    def add(self, name: str, change: int) -> None:
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + change


_HANGING = _Hanging()


class Bounded:
    """A source that gives up `seconds` after it was made, whatever its requests do."""

    def __init__(self, source: Source, seconds: float = PATIENCE) -> None:
        self.source = source
        self.name = source.name
        self.where = source.where
        self.seconds = seconds
        self._deadline: float | None = time.monotonic() + seconds

    def lift(self) -> None:
        """Give it all the time it takes from now on: to who waits for a whole log."""
        self._deadline = None

    def size(self) -> int:
        """As the source's."""
        return self._in_time(self.source.size)

    def read(self, start: int, end: int) -> bytes:
        """As the source's."""
        return self._in_time(lambda: self.source.read(start, end))

    def near(self, start: int, end: int, *, from_end: bool) -> tuple[int, int]:
        """As the source's, which asks for nothing."""
        return self.source.near(start, end, from_end=from_end)

    def _in_time(self, call: Callable[[], T]) -> T:
        if self._deadline is None:
            return call()
        if _HANGING.count(self.name) >= _MOST_HANGING:
            raise Unreadable("it does not answer: earlier requests still wait for it")
        running = _Call(call, self.name)
        if not running.ends_within(self._deadline - time.monotonic()):
            raise Unreadable(f"no answer within {self.seconds:g} seconds")
        return running.result()


class _Call(Generic[T]):
    """A call in a thread of its own, which holds up neither its caller nor the end of the process."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        self._call = call
        self._name = name
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._is_given_up = False
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name=f"read-{name}", daemon=True).start()

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end; if it does not come in time, it counts as hanging until it does."""
        if self._ended.wait(max(0.0, seconds)):
            return True
        with self._lock:
            if self._ended.is_set():
                return True
            self._is_given_up = True
            _HANGING.add(self._name, 1)
        return False

    def result(self) -> T:
        """What an ended call returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._values[0]

    def _run(self) -> None:
        try:
            self._values.append(self._call())
        except BaseException as error:  # whatever it is, it is raised where somebody waits
            self._error = error
        with self._lock:
            self._ended.set()
            if self._is_given_up:
                _HANGING.add(self._name, -1)
