"""Task logs on this host's disk: shipped by the sweep, and among what may go when S3 has all of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from airflow_service.service_logs.files import Found, look
from airflow_service.task_logs.journal import DONE, Damaged, Journal, Keeper
from airflow_service.task_logs.sweep import Report

_MOST_TOLD = 5


@dataclass(slots=True)
class TaskFiles:
    """Task logs that shippers know of."""

    confirmed: list[Found] = field(default_factory=list)
    """Finished, merged and verified on S3, and since then unchanged."""
    others: list[Found] = field(default_factory=list)


def task_files(base: Path, until: float = math.inf) -> TaskFiles:
    """What the journals in a folder of logs say of the files in it.

    Finished logs that were changed after `until` (seconds since 1970) are left out, unread: there may be
    a hundred thousand of them, and they are asked for each minute.
    """
    keeper, files = Keeper(base), TaskFiles()
    for path in _dated(keeper.folder / DONE, until):
        with suppress(OSError, Damaged):
            journal = Journal.parse(path.read_bytes())
            if found := _found(base, journal):
                # With a journal that is open too, somebody has begun to write to it again.
                finished = _all_there(journal, found) and not keeper.path(journal.relative).exists()
                (files.confirmed if finished else files.others).append(found)
    for _, open_journal in keeper.open_journals():
        if isinstance(open_journal, Journal) and (found := _found(base, open_journal)):
            files.others.append(found)
    return files


def _dated(folder: Path, until: float) -> Iterator[Path]:
    """Journals of logs that were last changed by then: a finished one has its log's date."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.endswith(".json") and entry.stat(follow_symlinks=False).st_mtime <= until:
                    yield Path(entry.path)


def _all_there(journal: Journal, found: Found) -> bool:
    return (
        journal.merged
        and journal.pending is None
        and (journal.device, journal.inode) == found.same
        and journal.shipped == found.size
    )


def _found(base: Path, journal: Journal) -> Found | None:
    """The journal's file; None for one that is not there, or lies behind a symbolic link."""
    return look(base / journal.relative, rotated=False, below=base)


def problems_of(report: Report) -> list[str]:
    """What a sweep could not do, the first of it in words."""
    told = [f"task log {name}: {why}" for name, why in report.failed.items()]
    told += [f"journal {path}: {why}" for path, why in report.damaged.items()]
    more = len(told) - _MOST_TOLD
    return [*told[:_MOST_TOLD], *([f"and {more} more task logs"] if more > 0 else [])]
