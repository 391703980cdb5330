"""Which finished task logs go from the disk, and what it takes to find them among many."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer
from airflow_service.object_store import ObjectStore
from airflow_service.service_logs.names import Place
from airflow_service.service_logs.retention import Limits, Retention
from airflow_service.service_logs.run import Run
from airflow_service.service_logs.task_files import task_files
from airflow_service.task_logs.journal import Journal, Keeper
from airflow_service.task_logs.shipment import Shipment
from harness.log_store import store_on
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
DAY = 86400


@pytest.fixture
def store(s3: S3Server, tmp_path: Path) -> ObjectStore:
    return store_on(s3.url, s3.bucket(), tmp_path)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


def finished(base: Path, store: ObjectStore, days: dict[str, float]) -> None:
    """Logs that were last changed so many days ago, and are shipped only now."""
    for name, age in days.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(b"x" * 999 + b"\n")
        changed = time.time() - age * DAY
        os.utime(base / name, (changed, changed))
        shipment = Shipment(Keeper(base), name, Writer(store, name))
        shipment.finish()
        shipment.close()


def removed(base: Path, limits: Limits, free: float = 50.0) -> list[str]:
    """What a run removes."""
    run = Run(
        sources=(),
        place=Place("cluster", "host"),
        state_file=base / "state.json",
        retention=Retention(limits, free_percent=lambda path: free),
        store=None,
        task_logs=lambda until: task_files(base, until),
        folders=(base,),
    )
    return sorted(path.relative_to(base).as_posix() for path in run.go().removed.files)


def test_only_old_ones_are_looked_at(
    base: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its days a log goes, though it was shipped later; to find it takes no look at those that stay."""
    finished(base, store, {"a/1.log": 8, "a/2.log": 9, **{f"b/{number}.log": 6 for number in range(8)}})
    (base / "a/2.log").write_bytes(b"written anew")
    read: list[str] = []
    parse = Journal.parse

    def counted(data: bytes) -> Journal:
        journal = parse(data)
        read.append(journal.relative)
        return journal

    monkeypatch.setattr(Journal, "parse", counted)
    assert removed(base, Limits(7, 0, 10)) == ["a/1.log"]
    assert sorted(read) == ["a/1.log", "a/2.log"]


@pytest.mark.parametrize(
    ("limits", "free"), [(Limits(7, 0, 10), 5.0), (Limits(7, 1, 0), 50.0)], ids=["disk", "size"]
)
def test_room_is_made_by_all(base: Path, store: ObjectStore, limits: Limits, free: float) -> None:
    """Where there is too little, young ones go, too."""
    finished(base, store, {"a/1.log": 0, "b/1.log": 3})
    assert removed(base, limits, free) == ["a/1.log", "b/1.log"]
