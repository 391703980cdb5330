"""What sweeps find and finish: left logs, finished ones that grow, damaged journals, orphaned uploads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from airflow_service.object_store import ObjectStore
from airflow_service.task_logs import sweep as sweep_module
from airflow_service.task_logs.journal import DONE, Journal, Keeper, Lock, confirmed
from airflow_service.task_logs.sweep import sweep
from harness.faulty_proxy import Fault, FaultyProxy
from harness.log_store import store_on
from harness.s3 import S3Server
from harness.shipping import LOG, log, once, ship, text

pytestmark = pytest.mark.slow


def test_a_finished_log_that_grows(keeper: Keeper, store: ObjectStore) -> None:
    """Whoever wrote behind its end, the next sweep ships it; one that is locked is left alone."""
    log(keeper, b"one\n")
    once(keeper, store)
    log(keeper, b"two\n")
    lock = Lock(keeper, LOG)
    assert sweep(store=store, base=keeper.base).quiet
    lock.release(remove=True)
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert store.read(LOG) == b"one\ntwo\n"


def test_logs_that_always_fail(keeper: Keeper, store: ObjectStore, proxy: FaultyProxy) -> None:
    """They do not keep a sweep from the others."""
    names = [f"dag/task/{number}/1.log" for number in range(10)]
    proxy.faults += [Fault("403 AccessDenied", path=name, times=1000) for name in names[:9]]
    for name in names:
        (keeper.base / name).parent.mkdir(parents=True)
        (keeper.base / name).write_bytes(b"one\n")
        keeper.save(Journal(name))
    report = sweep(store=store, base=keeper.base)
    assert report.shipped == names[9:]
    assert sorted(report.failed) == names[:9]


def test_a_log_is_watched_for_a_day(
    keeper: Keeper, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that outlives its supervisor goes on writing; then the log is finished, and forgotten with its file."""
    log(keeper, b"one\n")
    ship(keeper, store).begin()
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert sweep(store=store, base=keeper.base).quiet
    log(keeper, b"two\n")
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert store.read(LOG) == b"one\ntwo\n"
    monkeypatch.setattr(sweep_module, "STILL", -1)
    assert sweep(store=store, base=keeper.base).quiet
    assert list(keeper.open_journals()) == []
    assert confirmed(keeper.base, LOG) == 8
    (keeper.base / LOG).unlink()
    sweep(store=store, base=keeper.base)
    assert list((keeper.folder / DONE).iterdir()) == []
    assert store.read(LOG) == b"one\ntwo\n"


def test_a_journal_that_cannot_be_read(keeper: Keeper, store: ObjectStore) -> None:
    """Such as another user's: it is told of, and keeps no other log back."""
    log(keeper, b"line\n")
    shipment = ship(keeper, store)
    shipment.begin()
    shipment.close()
    keeper.path("other").mkdir()
    report = sweep(store=store, base=keeper.base)
    assert report.damaged == {str(keeper.path("other")): "it cannot be read: Is a directory"}
    assert (report.shipped, text(store)) == ([LOG], b"line\n")


def test_what_a_sweep_cannot_read(keeper: Keeper, store: ObjectStore) -> None:
    """A damaged journal whose log is not here is told of, once; the others are shipped."""
    log(keeper, b"one\n")
    ship(keeper, store).begin()
    for name, content in {
        "a" * 32: "",
        "b" * 32: '{"format": 2}',
        "c" * 32: '{"format": 1, "runs": []}',
    }.items():
        (keeper.folder / f"{name}.json").write_text(content)
    report = sweep(store=store, base=keeper.base)
    assert report.shipped == [LOG]
    assert len(report.damaged) == 3
    assert sweep(store=store, base=keeper.base).quiet


@pytest.mark.parametrize("shipped", [b"", b"one\n", b"one\ntwo\n"])
def test_a_journal_that_a_power_cut_emptied(keeper: Keeper, store: ObjectStore, shipped: bytes) -> None:
    """Its name says whose it was; what S3 has of that log is not shipped again."""
    if shipped:
        store.create(LOG, shipped)
    log(keeper, b"one\ntwo\n")
    keeper.save(Journal(LOG))
    keeper.path(LOG).write_bytes(b"")
    report = sweep(store=store, base=keeper.base)
    assert (report.shipped, report.damaged) == ([LOG], {})
    assert store.read(LOG) == b"one\ntwo\n"


def test_orphaned_uploads(
    keeper: Keeper, store: ObjectStore, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed merge began is aborted, once it is old; nobody else's is."""
    client, bucket = s3.client(), store.location.bucket
    for key in (f"logs/{LOG}", "elsewhere"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    assert sweep(store=store, base=keeper.base).aborted == 0
    monkeypatch.setattr(sweep_module, "ORPHAN", -1)
    assert sweep(store=store, base=keeper.base).aborted == 1
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [one["Key"] for one in left] == ["elsewhere"]


def test_sweeps_at_once(tmp_path: Path, s3: S3Server) -> None:
    """Two share the work, each log by one of them."""
    bucket, keeper = s3.bucket(), Keeper(tmp_path / "base")
    names = [f"dag/task/{number}/1.log" for number in range(12)]
    for name in names:
        (keeper.base / name).parent.mkdir(parents=True)
        (keeper.base / name).write_bytes(name.encode())
        keeper.save(Journal(name))
    reports = []

    def go() -> None:
        reports.append(sweep(store=store_on(s3.url, bucket, tmp_path), base=keeper.base))

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert s3.objects(bucket) == {f"logs/{name}": name.encode() for name in names}
    assert sorted(name for report in reports for name in report.shipped) == sorted(names)
