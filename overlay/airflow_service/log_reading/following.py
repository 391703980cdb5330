"""Print what comes to logs, and those that begin meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from airflow_service.log_reading.catalogue import PACKED, Log
from airflow_service.log_reading.on_machines import LocalFile
from airflow_service.log_reading.printing import Printer, say
from airflow_service.log_reading.source import NotThere, Unreadable
from airflow_service.object_store import StoreError
from airflow_service.service_logs.segments import Range

POLL = 2.0
"""Seconds between two looks."""
# A listing of many objects takes a sixth of the time at most.
_REST = 5
_ENDED = -1


class Follower:
    """Follows all logs that `find` lists: a listing tells which of them have grown."""

    def __init__(self, printer: Printer, find: Callable[[], Iterable[Log]], last: int) -> None:
        self._printer = printer
        self._find = find
        self._last = last
        self._ends: dict[str, int] = {}
        """How far each log was printed, or was there before, in bytes of its text."""
        self._first: str | None = None
        """The log of which the last lines are printed; those that begin later are, from their beginning."""
        self._shown: list[str] = []
        """The logs that were printed; the last one is the one whose name was told last."""
        self._troubles: dict[str, str] = {}

    def run(self) -> NoReturn:
        """Print until somebody stops it."""
        while True:
            time.sleep(max(POLL, _REST * self.look()))

    def look(self) -> float:
        """Print what has come since the last look; returns how many seconds it took to list the logs."""
        begun = time.monotonic()
        found: list[Log] = []
        with self._telling(""):
            found = list(self._find())
            if self._first is None:
                self._begin(found)
        took = time.monotonic() - begun
        for log in found:
            # What goes wrong with one log keeps no other back.
            with self._telling(log.name):
                if self._has_more(log):
                    self._show(log)
        return took

    def _begin(self, found: list[Log]) -> None:
        self._ends = {log.name: _ENDED if log.is_packed else log.size for log in found[:-1]}
        self._first = found[-1].name if found else ""

    def _has_more(self, log: Log) -> bool:
        """Raises StoreError."""
        end = self._ends.get(log.name)
        if end is None:
            return True
        if end == _ENDED:
            return False
        if log.is_packed:
            there = self._printer.store.head(f"{log.name}{PACKED}")
            which = Range.of(there) if there else None
            if which and which.end - which.start <= end:
                self._ends[log.name] = _ENDED
                return False
            return True
        return log.size > end or ((log.is_live or log.name in self._shown) and self._size_here(log) > end)

    def _size_here(self, log: Log) -> int:
        try:
            return LocalFile(str(self._printer.folder), log.name).size()
        except (NotThere, Unreadable):
            return 0

    def _show(self, log: Log) -> None:
        start = self._ends.get(log.name)
        last = self._last if start is None and log.name == self._first else None
        for end, data in self._printer.parts(log, start or 0, last):
            if self._shown[-1:] != [log.name]:
                say(f"==> {log.name} <==")
                self._shown = [*(name for name in self._shown if name != log.name), log.name]
            self._printer.write(data)
            # At once: after a failure it goes on from here.
            self._ends[log.name] = end
        self._ends.setdefault(log.name, 0)
        if log.is_packed:
            self._ends[log.name] = _ENDED

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        """Say what went wrong, once; it is tried again with the next look."""
        try:
            yield
            self._troubles.pop(name, None)
        except (StoreError, Unreadable, NotThere) as error:
            if self._troubles.get(name) != str(error):
                self._troubles[name] = str(error)
                say(f"{error}; it is asked for again")
