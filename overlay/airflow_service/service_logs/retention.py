"""Remove logs that S3 has: after their days, above a size, and when a disk is about to be full."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from airflow_service.service_logs.files import Found, remove

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how many bytes, and how much of a disk (0: no limit; for days, none are kept)."""

    days: int
    size: int
    free_percent: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system, as `df` counts it."""

    path: Path
    free_percent: float


@dataclass(slots=True)
class Removed:
    """What was done, or would be."""

    files: list[Path] = field(default_factory=list)
    size: int = 0
    too_full: list[Disk] = field(default_factory=list)
    """Disks with too little room, although nothing is left on them that might go."""
    failed: list[str] = field(default_factory=list)


def usage(path: Path) -> float:
    """How much of the file system of a path is free for everyone, in percent."""
    seen = os.statvfs(path)
    all_of_it = seen.f_blocks - seen.f_bfree + seen.f_bavail
    return 100 * seen.f_bavail / all_of_it if all_of_it else 100.0


class Retention:
    """Which of the files on this host may go, and when; removes them unless it is a dry run."""

    def __init__(
        self,
        limits: Limits,
        *,
        dry_run: bool = False,
        free_percent: Callable[[Path], float] = usage,
        remove: Callable[[Found], bool] = remove,
    ) -> None:
        self._limits = limits
        self._dry_run = dry_run
        self._free_percent = free_percent
        self._remove = remove

    def apply(
        self, confirmed: Iterable[Found], others: Iterable[Found], now: float, folders: Iterable[Path] = ()
    ) -> Removed:
        """Remove of the confirmed files what has to go, the oldest first; `others` stay, and only take room.

        Of the disks, those of the files and of the folders are looked at.

        Raises nothing for a file that cannot be removed: `failed` tells of it.
        """
        result = Removed()
        left = deque(sorted(confirmed, key=lambda found: (found.modified, str(found.path))))
        others = list(others)
        while left and left[0].modified <= now - self._limits.days * _DAY:
            self._go(left.popleft(), result)
        taken = sum(found.size for found in (*left, *others))
        while self._limits.size and left and taken > self._limits.size:
            taken -= self._go(left.popleft(), result)
        if self._limits.free_percent:
            for where, files in _by_disk(left, others, folders):
                self._make_room(where, files, set(left), result)
        return result

    def until(self, folders: Iterable[Path], now: float) -> float:
        """Files that were changed later than this stay in any case; none, if room has to be made in the folders."""
        if self._limits.size or self.is_short(folders):
            return math.inf
        return now - self._limits.days * _DAY

    def is_short(self, folders: Iterable[Path]) -> bool:
        """Whether a disk of one of these folders has too little room; those that are not there have none."""
        for folder in folders:
            with suppress(OSError):
                if self._free_percent(folder) < self._limits.free_percent:
                    return True
        return False

    def _make_room(self, where: Path, files: list[Found], may_go: set[Found], result: Removed) -> None:
        """Remove files of one disk until enough of it is free."""
        for found in files:
            if self._free_percent(where) >= self._limits.free_percent:
                return
            if found in may_go:
                self._go(found, result)
        free = self._free_percent(where)
        if free < self._limits.free_percent:
            result.too_full.append(Disk(where, free))

    def _go(self, found: Found, result: Removed) -> int:
        """Remove one; returns how many bytes are free for that, or would be."""
        try:
            if not self._dry_run and not self._remove(found):
                return 0
        except OSError as error:
            result.failed.append(f"{found.path} cannot be removed: {error.strerror}")
            return 0
        result.files.append(found.path)
        result.size += found.size
        return found.size


def _by_disk(
    left: Iterable[Found], others: Iterable[Found], folders: Iterable[Path]
) -> Iterable[tuple[Path, list[Found]]]:
    """Each file system: a folder of it, and its files in their order."""
    disks: dict[int, tuple[Path, list[Found]]] = {}
    for folder in folders:
        with suppress(OSError):
            disks.setdefault(folder.stat().st_dev, (folder, []))
    for found in (*left, *others):
        disks.setdefault(found.device, (found.path.parent, []))[1].append(found)
    return disks.values()


def remove_empty_folders(files: Iterable[Path], below: Path) -> None:
    """Remove the folders that stand empty now, up to `below`, which stays."""
    for path in files:
        for folder in path.parents:
            if folder == below or not folder.is_relative_to(below):
                break
            try:
                folder.rmdir()
            except OSError:
                break
