"""Find the logs that a killed task, a dead worker or an S3 that was down left on this machine, and ship them."""

from __future__ import annotations

import os
import random
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from airflow_service.log_chain import LARGEST_SEGMENT, Writer
from airflow_service.object_store import (
    Denied,
    NoBucket,
    ObjectStore,
    StoreError,
    Unreachable,
    log_store,
)
from airflow_service.object_store.uploads import abort
from airflow_service.options import ServiceSettings
from airflow_service.sources import Configuration
from airflow_service.task_logs.journal import DONE, FOLDER, Damaged, Journal, Keeper, Lock, Locked
from airflow_service.task_logs.shipment import Shipment

STILL = 24 * 3600
"""Seconds after its last line that a log is looked at again: its task may have outlived its supervisor."""
QUIET = 600
"""Seconds after its last line that a log is merged in any case; one that grows, when it has doubled since."""
ORPHAN = 24 * 3600
"""Seconds after which an upload in parts that nobody completed is aborted."""
_LOOKED_AT = 2000
# Bytes that a segment has at least if more than those of one segment wait.
_SMALLEST_OF_MANY = LARGEST_SEGMENT // 2
_PATIENCE = 3
"""Logs in a row that S3 could not take, before a sweep ends."""
_DENIALS = 50
"""And that it refused: some logs may be refused for ever, and must not keep back the others."""


@dataclass(slots=True)
class Report:
    """What a sweep did, by the logs' names."""

    shipped: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    """Left to the process that ships them now."""
    failed: dict[str, str] = field(default_factory=dict)
    """And why; they stay on disk, and the next sweep tries again."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Journals that cannot be read, by their path."""
    aborted: int = 0

    @property
    def quiet(self) -> bool:
        """Whether nothing was left to do."""
        return not (self.shipped or self.failed or self.damaged)


def sweep(
    settings: ServiceSettings | None = None,
    configuration: Configuration | None = None,
    *,
    store: ObjectStore | None = None,
    base: Path | None = None,
) -> Report:
    """Ship what no living process ships. Two at once do no harm, and a killed one is continued by the next.

    `store` and `base` (the folder of logs) are by default the configured ones. Raises WrongSettings.
    """
    configuration = configuration or Configuration.read()
    store = store or log_store(settings, configuration)
    keeper = Keeper(base or log_folder(configuration))
    report = Report()
    _look_at_finished(keeper)
    unreachable = denied = 0
    for relative in _open_logs(keeper, report):
        try:
            _one(keeper, store, relative, report)
            unreachable = denied = 0
        except (NoBucket, Unreachable) as error:
            report.failed[relative] = str(error)
            unreachable += 1
        except Denied as error:
            report.failed[relative] = str(error)
            unreachable, denied = 0, denied + 1
        except (StoreError, OSError) as error:
            report.failed[relative] = str(error)
        except Exception as error:  # one log must not keep back all others, of this machine and each minute
            report.failed[relative] = repr(error)
        if unreachable >= _PATIENCE or denied >= _DENIALS:
            return report
    report.aborted = _abort_orphans(store, keeper)
    return report


def log_folder(configuration: Configuration) -> Path:
    """`[core] base_log_folder`."""
    value = configuration.get("core", "base_log_folder")
    return Path(value.text if value else configuration.home / "logs").expanduser()


def _open_logs(keeper: Keeper, report: Report) -> list[str]:
    """Those with open journals, in another order each time: what fails must not be first for ever."""
    found: list[str] = []
    damaged: dict[str, str] = {}
    for path, journal in keeper.open_journals():
        if isinstance(journal, Damaged):
            damaged[str(path)] = str(journal)
        else:
            found.append(journal.relative)
    if damaged:
        # What such a journal stood for is told by its name alone.
        for relative in _logs(keeper.base):
            if damaged.pop(str(keeper.path(relative)), None) is not None:
                found.append(relative)
        report.damaged.update(damaged)
        for name in damaged:
            # Of a log that is no more here: told once, since to look for it takes a walk over all logs.
            with suppress(OSError):
                Path(name).unlink()
    random.shuffle(found)
    return found


def _logs(base: Path) -> Iterator[str]:
    """The files below the folder of logs, by their names relative to it."""
    for folder, folders, files in os.walk(base):
        folders[:] = [name for name in folders if name != FOLDER]
        for name in files:
            yield (Path(folder) / name).relative_to(base).as_posix()


def _one(keeper: Keeper, store: ObjectStore, relative: str, report: Report) -> None:
    try:
        lock = Lock(keeper, relative)
    except Locked:
        report.live.append(relative)
        return
    finished = False
    try:
        # Its writer may have finished it since it was listed.
        if not keeper.path(relative).exists():
            return
        shipment = Shipment(keeper, relative, Writer(store, relative))
        try:
            finished = _ship(shipment, keeper.base / relative, report)
        finally:
            shipment.close()
    finally:
        lock.release(remove=finished)


def _ship(shipment: Shipment, path: Path, report: Report) -> bool:
    """Whether the log is finished; while its task may still write to it, it is not."""
    before, waiting, age = shipment.journal, shipment.waiting(), _age(path)
    if waiting or before.pending is not None:
        # What is there now, however fast a task that outlived its supervisor adds to it.
        for _ in range(2 + waiting // _SMALLEST_OF_MANY):
            if not shipment.step():
                break
    merges = not shipment.journal.merged and (age >= QUIET or shipment.is_worth_merging())
    if merges:
        shipment.merge()
    if waiting or merges:
        report.shipped.append(before.relative)
    if age < STILL:
        shipment.keep()
        return False
    shipment.finish()
    return True


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _look_at_finished(keeper: Keeper) -> None:
    """Open the journals of finished logs that have changed, and remove those of removed ones: some each time.

    A run of a task that met the lock of the run before may have written behind its end.
    """
    finished = list((keeper.folder / DONE).glob("*.json"))
    for path in random.sample(finished, min(len(finished), _LOOKED_AT)):
        with suppress(OSError, Damaged):
            journal = Journal.parse(path.read_bytes())
            try:
                here = (keeper.base / journal.relative).lstat()
            except FileNotFoundError:
                path.unlink()
                continue
            same = (here.st_size, here.st_ino) == (journal.shipped, journal.inode)
            if not same and stat.S_ISREG(here.st_mode):
                _open_again(keeper, journal.relative)


def _open_again(keeper: Keeper, relative: str) -> None:
    with suppress(Locked):
        lock = Lock(keeper, relative)
        try:
            # Somebody may have opened it, and shipped, since it was read.
            if not keeper.path(relative).exists() and (journal := keeper.read(relative)) is not None:
                keeper.save(journal)
        finally:
            lock.release()


def _abort_orphans(store: ObjectStore, keeper: Keeper) -> int:
    """Abort what killed merges have begun long ago; 0 where that may not be listed."""
    count = 0
    with suppress(StoreError):
        for key, upload_id, begun in _uploads(store):
            name = store.location.name(key)
            # Without a folder of our own, a name may be anybody's.
            ours = bool(store.location.prefix) or keeper.read(name) is not None
            if ours and (datetime.now(UTC) - begun).total_seconds() > ORPHAN:
                abort(store, name, upload_id)
                count += 1
    return count


def _uploads(store: ObjectStore) -> Iterator[tuple[str, str, datetime]]:
    parameters = {"Bucket": store.location.bucket, "Prefix": store.location.key("")}
    while True:
        with store.asking(f"list the uploads of {store.url('')}") as client:
            page = client.list_multipart_uploads(**parameters)
        for one in page.get("Uploads", []):
            yield one["Key"], one["UploadId"], one["Initiated"]
        if not page.get("IsTruncated"):
            return
        parameters |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
