"""A local log's way to S3: while it is written, cut, replaced, and at its end."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from airflow_service.object_store import ObjectStore
from airflow_service.task_logs import shipper as shipper_module
from airflow_service.task_logs.journal import Keeper, Lock, confirmed
from airflow_service.task_logs.local_file import LocalFile
from airflow_service.task_logs.shipper import Shipper
from airflow_service.task_logs.sweep import sweep
from harness.log_store import store_on
from harness.s3 import S3Server
from harness.shipping import LOG, MB, log, once, ship, text, until

pytestmark = pytest.mark.slow


def test_again_and_again(keeper: Keeper, store: ObjectStore) -> None:
    """Each run of the same try adds what it wrote; one that wrote nothing changes nothing."""
    once(keeper, store)
    assert store.head(LOG) is None
    for part in (b"one\n", b"two\n", b"", b"three\n"):
        log(keeper, part)
        once(keeper, store)
    assert store.read(LOG) == b"one\ntwo\nthree\n"
    assert confirmed(keeper.base, LOG) == 14
    assert confirmed(keeper.base, "other") == -1


def test_what_was_there_before(keeper: Keeper, store: ObjectStore) -> None:
    """A file without a journal is shipped, unless S3's text ends with it."""
    log(keeper, b"of the release\n")
    store.create(LOG, b"old\nof the release\n")
    shipment = ship(keeper, store)
    shipment.begin()
    log(keeper, b"new\n")
    shipment.finish()
    assert store.read(LOG) == b"old\nof the release\nnew\n"
    other = Keeper(keeper.base.parent / "other")
    (other.base / LOG).parent.mkdir(parents=True)
    log(other, b"of another machine\n")
    once(other, store)
    assert store.read(LOG) == b"old\nof the release\nnew\nof another machine\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\0binary\x80" * 1000,
        b"no newline at all",
        b"short\n" + b"x" * (20 * MB) + b"\nafter\n",
        b"\n" * 5000,
    ],
    ids=["binary", "no-newline", "long-line", "empty-lines"],
)
def test_any_bytes(keeper: Keeper, store: ObjectStore, data: bytes) -> None:
    """The text is what was written, byte for byte."""
    log(keeper, data)
    once(keeper, store)
    assert store.read(LOG) == data


def test_segments_end_with_lines(keeper: Keeper, store: ObjectStore) -> None:
    """As far as a line's end is there."""
    log(keeper, b"x" * 100 + b"\n" + b"half")
    shipment = ship(keeper, store)
    assert shipment.step() == 101
    log(keeper, b" and half\n")
    assert shipment.step() == 14
    assert shipment.step() == 0


def test_a_file_that_is_removed_or_cut(
    keeper: Keeper, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was open is shipped to its end; what is there then is another file, and follows."""
    monkeypatch.setattr("airflow_service.task_logs.followed.REPLACED", 0.0)
    log(keeper, b"one\n")
    shipment = ship(keeper, store)
    shipment.begin()
    with (keeper.base / LOG).open("ab") as file:
        (keeper.base / LOG).unlink()
        file.write(b"two\n")
    assert shipment.step() == 8
    log(keeper, b"three\n")
    assert shipment.step() == 6
    os.truncate(keeper.base / LOG, 0)
    assert shipment.waiting() == 0
    log(keeper, b"4\n")
    shipment.finish()
    assert store.read(LOG) == b"one\ntwo\nthree\n4\n"


def test_a_file_that_is_replaced_while_it_is_written(keeper: Keeper, store: ObjectStore) -> None:
    """Who has the old one open may write a little longer; the end does not wait for that."""
    log(keeper, b"one\n")
    shipment = ship(keeper, store)
    shipment.begin()
    assert shipment.step() == 4
    with (keeper.base / LOG).open("ab") as file:
        (keeper.base / LOG).rename(keeper.base / "moved")
        log(keeper, b"three\n")
        assert shipment.step() == 0
        file.write(b"two\n")
    assert shipment.step() == 4
    shipment.finish()
    assert store.read(LOG) == b"one\ntwo\nthree\n"


def test_while_it_runs(keeper: Keeper, store: ObjectStore, quick: None) -> None:
    """Segments come while the log grows, and one object at the end."""
    shipper = Shipper(keeper, LOG, lambda: store)
    log(keeper, b"one\n")
    until(lambda: text(store) == b"one\n")
    assert store.head(LOG) is None
    assert sweep(store=store, base=keeper.base).live == [LOG]
    log(keeper, b"two\n")
    assert shipper.close()
    assert store.read(LOG) == b"one\ntwo\n"
    assert list(keeper.open_journals()) == []
    assert sweep(store=store, base=keeper.base).quiet


def test_a_run_that_meets_the_one_before(keeper: Keeper, store: ObjectStore, quick: None) -> None:
    """A sensor's next run begins while the supervisor of the last one ships: it waits, and then ships."""
    first = Lock(keeper, LOG)
    second = Shipper(keeper, LOG, lambda: store)
    log(keeper, b"one\n")
    assert second.waiting(4) == 4
    time.sleep(0.2)
    once(keeper, store)
    first.release(remove=True)
    log(keeper, b"two\n")
    until(lambda: text(store) == b"one\ntwo\n")
    assert second.close()
    assert store.read(LOG) == b"one\ntwo\n"


def test_the_first_lines_are_as_old_as_the_thread(
    keeper: Keeper, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait no longer than others do."""
    monkeypatch.setattr(shipper_module, "_FIRST", 1.0)
    monkeypatch.setattr(shipper_module, "LOOK", 0.02)
    log(keeper, b"one\n")
    begun = time.monotonic()
    shipper = Shipper(keeper, LOG, lambda: store, hold=1.2)
    until(lambda: text(store) == b"one\n")
    assert time.monotonic() - begun < 1.2 + 0.7
    assert shipper.close()


def test_a_log_is_not_read_again_and_again(
    keeper: Keeper, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To build the merged object ahead takes each byte a few times, however many the segments."""
    monkeypatch.setattr("airflow_service.log_chain.merging.WORTH_IT", 4 * MB)
    reading, count = LocalFile.read, 0

    def read(self: LocalFile, start: int, end: int) -> bytes:
        nonlocal count
        data = reading(self, start, end)
        count += len(data)
        return data

    monkeypatch.setattr(LocalFile, "read", read)
    shipment = ship(keeper, store)
    for _ in range(60):
        log(keeper, b"x" * (MB // 2 - 1) + b"\n")
        shipment.step()
        shipment.prepare()
    shipment.finish()
    shipment.close()
    assert count < 6 * 30 * MB


def test_memory(keeper: Keeper, s3: S3Server, tmp_path: Path, thorough: bool) -> None:
    """It does not grow with the log."""
    import tracemalloc

    # Without the proxy, which holds requests in this process's memory.
    store = store_on(s3.url, s3.bucket(), tmp_path)
    chance = random.Random(1)
    size = 128 if thorough else 40
    for _ in range(size):
        log(keeper, chance.randbytes(MB))
    tracemalloc.start()
    once(keeper, store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MB
    found = store.head(LOG)
    assert found is not None
    assert found.size == size * MB
