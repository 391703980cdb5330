"""Which bytes of a text are still on this machine's disk, as they were shipped."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

from airflow_service.task_logs.journal import Run
from airflow_service.task_logs.local_file import LocalFile

_MOST_RUNS = 64
# Bytes that are read through to see whether a run is as it was, for one small piece of it; more for many.
_CHEAP = 32 << 20
_WORTH_IT = 8


class Unchanged:
    """Gives bytes of shipped runs from a local file, if they are there and as they were shipped."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        # How much of a run was found as it was, by where it begins in the text, and the sum of that.
        self._good: dict[int, tuple[int, int]] = {}
        self._bad: set[Run] = set()
        self._asked = 0

    def read(self, runs: Sequence[Run], start: int, end: int) -> bytes | None:
        """The bytes [start, end) of the text, or None."""
        self._asked += 1
        for run in runs:
            if run.at <= start and end <= run.at + run.length:
                if run.length > _CHEAP and self._asked < _WORTH_IT:
                    return None
                offset = run.start - run.at
                return self._file.read(start + offset, end + offset) if self._is_good(run) else None
        return None

    def _is_good(self, run: Run) -> bool:
        """Whether its bytes are as they were shipped; what was read before as its beginning is not read again."""
        length, crc = self._good.get(run.at, (0, 0))
        if run in self._bad or length > run.length:
            return False
        if length < run.length:
            crc = self._file.crc(run.start + length, run.start + run.length, crc)
        if crc != run.crc:
            self._bad.add(run)
            return False
        self._good[run.at] = run.length, crc
        return True


def extended(runs: tuple[Run, ...], at: int, start: int, data: bytes) -> tuple[Run, ...]:
    """The runs with bytes that were shipped from `start` in the file to `at` in the text."""
    last = runs[-1] if runs else None
    if last is not None and (last.at + last.length, last.start + last.length) == (at, start):
        longer = replace(last, length=last.length + len(data), crc=zlib.crc32(data, last.crc))
        return (*runs[:-1], longer)
    return (*runs[-_MOST_RUNS + 1 :], Run(at, start, len(data), zlib.crc32(data)))
