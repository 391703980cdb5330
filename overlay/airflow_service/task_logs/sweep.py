"""Find the logs that a killed task, a dead worker or an S3 that was down left on this machine, and ship them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from airflow_service.log_chain import Writer
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
from airflow_service.task_logs.journal import DONE, Damaged, Journal, Keeper, Lock, Locked
from airflow_service.task_logs.shipment import Shipment

STILL = 24 * 3600
"""Seconds after its last line that a log is looked at again: its task may have outlived its supervisor."""
ORPHAN = 24 * 3600
"""Seconds after which an upload in parts that nobody completed is aborted."""
_LOOKED_AT = 2000
_PATIENCE = 3
"""Logs in a row that S3 could not take, before a sweep ends."""


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
    in_a_row = 0
    for path, journal in keeper.open_journals():
        if isinstance(journal, Damaged):
            report.damaged[str(path)] = str(journal)
            continue
        try:
            _one(keeper, store, journal.relative, report)
            in_a_row = 0
        except (NoBucket, Denied, Unreachable) as error:
            report.failed[journal.relative] = str(error)
            in_a_row += 1
            if in_a_row >= _PATIENCE:
                return report
        except (StoreError, OSError) as error:
            report.failed[journal.relative] = str(error)
    _forget_removed(keeper)
    report.aborted = _abort_orphans(store)
    return report


def log_folder(configuration: Configuration) -> Path:
    """`[core] base_log_folder`."""
    value = configuration.get("core", "base_log_folder")
    return Path(value.text if value else configuration.home / "logs").expanduser()


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
    before = shipment.journal
    if shipment.waiting() or before.pending is not None or not before.merged:
        while shipment.step():
            pass
        shipment.merge()
        report.shipped.append(before.relative)
    if _age(path) < STILL:
        shipment.keep()
        return False
    shipment.finish()
    return True


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _forget_removed(keeper: Keeper) -> None:
    """Remove the journals of finished logs that retention has taken from the disk: some of them each time."""
    finished = list((keeper.folder / DONE).glob("*.json"))
    for path in random.sample(finished, min(len(finished), _LOOKED_AT)):
        with suppress(OSError, Damaged):
            journal = Journal.parse(path.read_text("utf-8"))
            if not (keeper.base / journal.relative).exists():
                path.unlink()


def _abort_orphans(store: ObjectStore) -> int:
    """Abort what killed merges have begun long ago; 0 where that may not be listed."""
    count = 0
    with suppress(StoreError):
        for key, upload_id, begun in _uploads(store):
            if (datetime.now(UTC) - begun).total_seconds() > ORPHAN:
                abort(store, store.location.name(key), upload_id)
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
