"""Which logs there are in the store, by what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from airflow_service.log_chain import split
from airflow_service.log_reading.source import NotThere, Unreadable
from airflow_service.log_reading.stored import StoredText
from airflow_service.object_store import Listed, ObjectStore
from airflow_service.service_logs.names import FOLDER, UNNAMED

PACKED = ".gz"
"""Behind a log's name: its finished text, compressed."""
_TASK_LEVELS = 3
_TRY = re.compile(r"(\d+)\.log")


@dataclass(frozen=True, slots=True)
class Log:
    """One log: its name below the base folder, and what was listed of it."""

    name: str
    size: int
    """Bytes in the store, compressed ones where it is packed."""
    is_live: bool = False
    """Whether it has segments: a writer adds to it, or was killed before it could merge them."""
    is_packed: bool = False

    @property
    def order(self) -> tuple[str, int, str]:
        """By name, and tries by their numbers."""
        folder, _, last = self.name.rpartition("/")
        found = _TRY.fullmatch(last)
        return folder, int(found[1]) if found else 0, last


@dataclass(frozen=True, slots=True)
class TaskLogs:
    """Task logs by upstream's layout; None stands for any."""

    dag: str | None = None
    task: str | None = None
    date: str | None = None
    """The execution date, or the beginning of one."""
    number: int | None = None

    @property
    def steps(self) -> list[str | None]:
        return [self.dag, self.task, None]

    def matches(self, name: str) -> bool:
        if name.startswith(f"{FOLDER}/"):
            return False
        parts = name.split("/")
        if len(parts) != _TASK_LEVELS + 1:
            return self == TaskLogs(self.dag) and (self.dag is None or name.startswith(f"{self.dag}/"))
        return (
            all(asked is None or asked == part for asked, part in zip(self.steps, parts, strict=False))
            and parts[2].startswith(self.date or "")
            and (self.number is None or parts[3] == f"{self.number}.log")
        )


@dataclass(frozen=True, slots=True)
class ServiceLogs:
    """Logs of services; None stands for any."""

    cluster: str | None = None
    host: str | None = None
    service: str | None = None
    day: str | None = None
    """YYYY-MM-DD, or the beginning of one."""

    @property
    def steps(self) -> list[str | None]:
        cluster = UNNAMED if self.cluster == "" else self.cluster
        return [FOLDER, cluster, self.host, self.service, None]

    def matches(self, name: str) -> bool:
        parts = name.split("/")
        return (
            len(parts) > len(self.steps)
            and all(asked is None or asked == part for asked, part in zip(self.steps, parts, strict=False))
            and parts[4].startswith(self.day or "")
        )


Wanted = TaskLogs | ServiceLogs


def find(store: ObjectStore, wanted: Wanted) -> Iterator[Log]:
    """The logs that match, by their names. Raises StoreError; NoRight where nothing may be listed.

    Steps that are not given are gone down folder by folder: what does not match is not listed.
    """
    for prefix in _prefixes(store, "", wanted.steps):
        for name, objects in groupby(store.list(prefix), key=lambda one: _log_of(one.name)):
            log = _made(name, list(objects))
            if wanted.matches(log.name):
                yield log


def tries_without_listing(store: ObjectStore, wanted: TaskLogs) -> Iterator[Log]:
    """The tries of one run of a task, asked for one by one. Raises Unreadable."""
    number = wanted.number or 1
    while True:
        text = StoredText(store, f"{wanted.dag}/{wanted.task}/{wanted.date}/{number}.log")
        try:
            size = text.size()
        except NotThere:
            return
        except Unreadable:
            if number == (wanted.number or 1):
                raise
            return
        yield Log(text.relative, size)
        if wanted.number is not None:
            return
        number += 1


def _prefixes(store: ObjectStore, prefix: str, steps: list[str | None]) -> Iterator[str]:
    """The folders that the steps lead to; the last unknown steps are listed as a whole."""
    if prefix and not any(steps):
        yield prefix
        return
    step, rest = steps[0], steps[1:]
    if step is not None:
        yield from _prefixes(store, f"{prefix}{step}/", rest)
        return
    for folder in store.folders(prefix):
        if folder == FOLDER:
            continue
        yield from _prefixes(store, f"{folder}/", rest)


def _log_of(name: str) -> str:
    """The log that an object is of."""
    found = split(name)
    return found[0] if found else name.removesuffix(PACKED)


def _made(name: str, objects: list[Listed]) -> Log:
    packed = next((one for one in objects if one.name == name + PACKED), None)
    if packed is not None:
        return Log(name, packed.size, is_packed=True)
    final = next((one.size for one in objects if one.name == name), 0)
    # Those below the final object's end are within it.
    behind = [one.size for one in objects if (found := split(one.name)) and found[1] >= final]
    return Log(name, final + sum(behind), is_live=bool(behind))
