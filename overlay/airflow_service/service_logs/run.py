"""One run of `airflow-service ship-logs` over the logs of services, and over the disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from airflow_service.object_store import ObjectStore
from airflow_service.service_logs.discovery import LogFile, discover
from airflow_service.service_logs.matching import Known, Matched, match
from airflow_service.service_logs.names import Place
from airflow_service.service_logs.plan import SETTLE, day_of
from airflow_service.service_logs.records import Record
from airflow_service.service_logs.retention import Removed, Retention, remove_empty_folders
from airflow_service.service_logs.ship import Shipped, Shipper
from airflow_service.service_logs.sources import Source
from airflow_service.service_logs.state import State, StateTrouble
from airflow_service.service_logs.task_files import TaskFiles

# Seconds between two writes of the state while files are shipped: what was not taken down is found on S3 again.
_SAVE_EVERY = 1.0


@dataclass(slots=True)
class Outcome:
    """What a run did, or would do."""

    shipped: Shipped = field(default_factory=Shipped)
    removed: Removed = field(default_factory=Removed)
    state_trouble: str = ""

    @property
    def problems(self) -> list[str]:
        trouble = [self.state_trouble] if self.state_trouble else []
        # Each once, however often the disk was looked at.
        return list(dict.fromkeys([*trouble, *self.shipped.problems, *self.removed.failed]))


@dataclass(slots=True)
class Run:
    """What a run works with."""

    sources: tuple[Source, ...]
    place: Place
    state_file: Path
    retention: Retention
    store: ObjectStore | None
    """None ships nothing: only what is on disk is looked after."""
    dry_run: bool = False
    tell: Callable[[str], None] = lambda text: None
    settle: float = SETTLE
    task_logs: Callable[[float], TaskFiles] = lambda until: TaskFiles()
    """Task logs in the folders, as they are now; finished ones that were last changed by a time."""
    folders: tuple[Path, ...] = ()
    """Whose disks are looked after even if no log is there."""
    outcome: Outcome = field(default_factory=Outcome)
    _saved: float = 0.0

    def make_room(self) -> None:
        """Remove what S3 has, if a disk is short of room: before anything that may take long. Raises StateTrouble."""
        folders = (source.fixed_folder(path) for source in self.sources for path in source.paths)
        if not self.dry_run and self.retention.is_short((*self.folders, *folders)):
            self._look()

    def go(self) -> Outcome:
        """Ship, and remove what S3 has. The lock is held by the caller. Raises StateTrouble."""
        state, files, matched = self._look()
        if self.sources and self.store is not None and not self.dry_run:
            self._ship(state, matched, self.store)
            self.outcome.shipped.waiting = sum(known.record.unshipped for known in matched.known)
            self._save(state, now=True)
            self._remove(files, matched)
        return self.outcome

    def _look(self) -> tuple[State, list[LogFile], Matched]:
        """What there is; and what S3 has of it is removed as need be."""
        problems = self.outcome.shipped.problems
        if not self.sources:
            self._remove([], Matched())
            return State(self.state_file), [], Matched()
        state = State.read(self.state_file, problems)
        files = discover(self.sources, problems)
        matched = match(files, state.records, problems, rebuilding=state.rebuilding)
        state.records = [*(known.record for known in matched.known), *matched.gone]
        if self.dry_run:
            self._foresee(matched)
        else:
            self._save(state, now=True)
        # A disk that is full may have to be relieved before anything can be written to it.
        self._remove(files, matched)
        return state, files, matched

    def _ship(self, state: State, matched: Matched, store: ObjectStore) -> None:
        shipper = Shipper(
            store, self.place, self.outcome.shipped, lambda: self._save(state), self.tell, settle=self.settle
        )
        known, gone = list(matched.known), list(matched.gone)
        # In another order each time: what fails for ever must not be first for ever.
        random.shuffle(known)
        if self.outcome.state_trouble:
            gone, shipper.only_adds = [], True
        else:
            known = shipper.prepare(known)
            # Nothing is begun on S3 that is not written down: the next run would begin it anew.
            if not self._save(state, now=True):
                return
        todo: list[Known | Record] = [*known, *gone]
        random.shuffle(todo)
        forgotten: set[int] = set()
        for one in todo:
            if isinstance(one, Known):
                shipper.ship(one)
            elif not shipper.ship_gone(one):
                forgotten.add(id(one))
        state.records = [record for record in state.records if id(record) not in forgotten]

    def _save(self, state: State, *, now: bool = False) -> bool:
        """Write down what is known, if it is time for it; whether the last try came through."""
        if not now and time.monotonic() - self._saved < _SAVE_EVERY:
            return not self.outcome.state_trouble
        try:
            state.write()
            self.outcome.state_trouble = ""
        except StateTrouble as error:
            self.outcome.state_trouble = str(error)
        self._saved = time.monotonic()
        return not self.outcome.state_trouble

    def _foresee(self, matched: Matched) -> None:
        for known in matched.known:
            if size := known.record.unshipped:
                perhaps = " at most, for S3 was not asked what it has" if known.record.past_unknown else ""
                self.tell(f"would ship {size} bytes of {known.file.found.path}{perhaps}")
                self.outcome.shipped.waiting += size

    def _remove(self, files: list[LogFile], matched: Matched) -> None:
        """Remove what S3 has of all logs, if it is known to be known tomorrow."""
        if self.outcome.state_trouble:
            return
        confirmed = [
            known.file.found
            for known in matched.known
            if known.record.complete(known.file.found) and may_go(known.file)
        ]
        confirmed += [found for found in matched.unknown if found.rotated and found.size == 0]
        going = {found.path for found in confirmed}
        others = [file.found for file in files if file.found.path not in going]
        now = time.time()
        tasks = self.task_logs(self.retention.until(self.folders, now))
        removed = self.retention.apply(
            [*confirmed, *tasks.confirmed], [*others, *tasks.others], now, self.folders
        )
        for path in removed.files:
            self.tell(f"{'would remove' if self.dry_run else 'removed'} {path}, which S3 has")
        self.outcome.removed.files += removed.files
        self.outcome.removed.size += removed.size
        self.outcome.removed.failed += removed.failed
        self.outcome.removed.too_full = removed.too_full
        if not self.dry_run:
            self._remove_folders(removed.files)

    def _remove_folders(self, files: list[Path]) -> None:
        for source in self.sources:
            if source.by_day:
                for pattern in source.paths:
                    below = source.fixed_folder(pattern)
                    remove_empty_folders([path for path in files if path.is_relative_to(below)], below)


def may_go(file: LogFile) -> bool:
    """Whether nobody writes to a file any more, by its name: it was rotated, or lies in the folder of a past day."""
    return file.found.rotated or (file.source.by_day and file.name.partition("/")[0] < day_of(time.time()))
