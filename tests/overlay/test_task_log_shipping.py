"""A local log's way to S3: whatever is cut, killed, doubled or refused on it."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from airflow_service.log_chain import Chain, Writer
from airflow_service.object_store import ObjectStore, StoreError
from airflow_service.task_logs import shipment as shipment_module
from airflow_service.task_logs import shipper as shipper_module
from airflow_service.task_logs import sweep as sweep_module
from airflow_service.task_logs.journal import DONE, Journal, Keeper, Lock, Locked, confirmed, is_live
from airflow_service.task_logs.shipment import Shipment
from airflow_service.task_logs.shipper import Shipper
from airflow_service.task_logs.sweep import sweep
from harness.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from harness.log_store import store_on
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"
MB = 1 << 20


class Killed(BaseException):
    """A process that is killed does nothing more: no `except` of the code sees this."""


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3.url) as running:
        yield running


@pytest.fixture
def store(s3: S3Server, proxy: FaultyProxy, tmp_path: Path) -> ObjectStore:
    return store_on(proxy.url, s3.bucket(), tmp_path)


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    base = tmp_path / "base"
    (base / LOG).parent.mkdir(parents=True)
    (base / LOG).touch()
    return Keeper(base)


def log(keeper: Keeper, data: bytes) -> None:
    with (keeper.base / LOG).open("ab") as file:
        file.write(data)


def text(store: ObjectStore) -> bytes:
    return b"".join(Chain(store, LOG).stream())


def ship(keeper: Keeper, store: ObjectStore) -> Shipment:
    return Shipment(keeper, LOG, Writer(store, LOG))


def once(keeper: Keeper, store: ObjectStore) -> None:
    """A process that ships all, and ends."""
    shipment = ship(keeper, store)
    shipment.begin()
    shipment.finish()
    shipment.close()


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


@pytest.mark.parametrize("right", ["list", "delete"])
@pytest.mark.parametrize("by", ["shipper", "shipment", "sweep"])
def test_without_a_right(
    keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, quick: None, right: str, by: str
) -> None:
    """A new log arrives, and is merged, though S3 refuses each listing and each name that is free."""
    proxy.without = frozenset({right})
    log(keeper, b"one\n")
    if by == "shipper":
        shipper = Shipper(keeper, LOG, lambda: store)
        log(keeper, b"two\n")
        assert shipper.close()
    else:
        shipment = ship(keeper, store)
        shipment.begin()
        assert shipment.step() == 4
        log(keeper, b"two\n")
        assert shipment.step() == 4
        shipment.keep()
        if by == "sweep":
            assert sweep(store=store, base=keeper.base).shipped == [LOG]
        else:
            shipment.finish()
        shipment.close()
    assert store.read(LOG) == b"one\ntwo\n"
    assert not any(journal.pending for _, journal in keeper.open_journals() if isinstance(journal, Journal))


def test_a_text_that_has_gone(keeper: Keeper, store: ObjectStore) -> None:
    """It is not told to be merged."""
    log(keeper, b"one\n")
    shipment = ship(keeper, store)
    shipment.step()
    store.delete([f"{LOG}.parts/{0:020d}"])
    with pytest.raises(StoreError, match="it ends at 0, and was stored up to 4"):
        shipment.finish()
    assert confirmed(keeper.base, LOG) <= 0


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
    monkeypatch.setattr(shipment_module, "REPLACED", 0.0)
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


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("what", ["device", "cut", "device-pending", "cut-pending", "other"])
def test_after_a_power_cut(
    keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, what: str, merged: bool
) -> None:
    """A disk with another number, or a file that lost its end: what S3 has is not shipped again."""
    lines = [b"%d of the lines of this log\n" % number for number in range(400)]
    first, second, other = b"".join(lines[:200]), b"".join(lines[200:]), b"of another machine\n"
    log(keeper, first)
    shipment = ship(keeper, store)
    shipment.begin()
    shipment.finish() if merged else shipment.step()
    # So that the end of the text is not this log's.
    Writer(store, LOG).append(other, "other", len(first))
    log(keeper, second)
    if what.endswith("pending"):
        proxy.faults.append(Fault("503 SlowDown", "PUT", times=100))
        with pytest.raises(StoreError):
            shipment.step()
        proxy.faults.clear()
    shipment.keep()
    shipment.close()
    path = keeper.base / LOG
    if what.startswith("device"):
        keeper.save(replace(shipment.journal, device=shipment.journal.device + 1))
    elif what == "other":
        path.rename(path.with_name("moved"))
        second = b"".join(reversed(lines))
        log(keeper, second)
    else:
        os.truncate(path, len(first) - 100)
        sweep(store=store, base=keeper.base)
        second = b"after the cut\n"
        log(keeper, second)
    sweep(store=store, base=keeper.base)
    assert text(store) == first + other + second
    assert sweep(store=store, base=keeper.base).quiet


@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_killed_at_any_moment(keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, large: bool) -> None:
    """Before or after each request: whoever continues finishes, and nothing is missing or doubled."""
    whole = b""
    for number in range(1, 12):
        for die in (_die_before, _die_unanswered):
            part = b"%d %s\n" % (number, die.__name__.encode())
            part += b"x" * (9 * MB) if large and number == 4 else b""
            whole += part
            log(keeper, part)
            shipment = ship(keeper, store)
            shipment.begin()
            die(store, proxy, number, shipment)
            shipment.close()
    once(keeper, store)
    assert store.read(LOG) == whole
    assert [one.name for one in store.list(LOG)] == [LOG]


def _die_before(store: ObjectStore, proxy: FaultyProxy, number: int, shipment: Shipment) -> None:
    """Be killed just before a request."""
    asking, count = store._asking, 0

    def ask(what: str) -> object:
        nonlocal count
        count += 1
        if count >= number:
            raise Killed
        return asking(what)

    store._asking = ask  # type: ignore[method-assign, assignment]
    with suppress(Killed):
        shipment.finish()
    store._asking = asking  # type: ignore[method-assign]


def _die_unanswered(store: ObjectStore, proxy: FaultyProxy, number: int, shipment: Shipment) -> None:
    """Be killed after a request that was carried out, without having its answer."""
    proxy.faults.append(Fault("lost", times=3))
    for _ in range(number % 3):
        with suppress(StoreError):
            shipment.step()
    proxy.faults.clear()


def test_a_lock_ends_with_its_process(keeper: Keeper) -> None:
    """And is not had by a process that is forked."""
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from airflow_service.task_logs.journal import Keeper, Lock\n"
        f"lock = Lock(Keeper(Path({str(keeper.base)!r})), {LOG!r})\nprint('locked', flush=True)\ntime.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "overlay")}
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    assert is_live(keeper, LOG)
    with pytest.raises(Locked):
        Lock(keeper, LOG)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert not is_live(keeper, LOG)
    lock = Lock(keeper, LOG)
    with pytest.raises(Locked):
        Lock(keeper, LOG)
    child = os.fork()
    if child == 0:
        try:
            Lock(keeper, LOG)
        except Locked:
            os._exit(7)
        os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert is_live(keeper, LOG)
    lock.release(remove=True)
    assert not is_live(keeper, LOG)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOLD", 0.2), ("_FIRST", 0.0), ("PATIENCE", 3.0), ("LOOK", 0.02)):
        monkeypatch.setattr(shipper_module, name, value)


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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


def test_a_disk_that_is_full_at_first(
    keeper: Keeper, store: ObjectStore, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread tries again; and nothing holds a lock that nobody gives back."""
    log(keeper, b"one\n")
    monkeypatch.setattr(shipper_module, "_LONGEST_PAUSE", 0.05)
    saving = Keeper.save
    failures = iter([True] * 3)

    def save(self: Keeper, journal: Journal, *, done: bool = False) -> None:
        if next(failures, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        saving(self, journal, done=done)

    monkeypatch.setattr(Keeper, "save", save)
    shipper = Shipper(keeper, LOG, lambda: store)
    until(lambda: text(store) == b"one\n")
    assert shipper.close()
    assert not is_live(keeper, LOG)

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError):
        Shipper(keeper, LOG, lambda: store)
    assert not is_live(keeper, LOG)


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


@pytest.mark.parametrize("fault", ["503 SlowDown", "403 AccessDenied", "404 NoSuchBucket"])
def test_s3_down(keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, fault: str, quick: None) -> None:
    """The end waits a moment only, and the sweep brings it when S3 is back."""
    proxy.faults.append(Fault(fault, times=1000))
    shipper = Shipper(keeper, LOG, lambda: store)
    log(keeper, b"one\n")
    begun = time.monotonic()
    assert not shipper.close()
    assert time.monotonic() - begun < 15
    assert fault in shipper.problem
    until(lambda: not is_live(keeper, LOG))
    assert list(sweep(store=store, base=keeper.base).failed) == [LOG]
    proxy.faults.clear()
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert sweep(store=store, base=keeper.base).quiet
    assert store.read(LOG) == b"one\n"


def test_a_store_that_cannot_be_opened(keeper: Keeper, quick: None) -> None:
    """It is told at the end; no thread is left, and no lock."""

    def broken() -> ObjectStore:
        raise RuntimeError("no such thing")

    shipper = Shipper(keeper, LOG, broken)
    log(keeper, b"one\n")
    assert not shipper.close()
    assert "no such thing" in shipper.problem
    assert not is_live(keeper, LOG)


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


def test_a_log_is_not_read_again_and_again(
    keeper: Keeper, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To build the merged object ahead takes each byte a few times, however many the segments."""
    monkeypatch.setattr("airflow_service.log_chain.writing.WORTH_IT", 4 * MB)
    reading, count = Shipment._read, 0

    def read(self: Shipment, start: int, end: int) -> bytes:
        nonlocal count
        data = reading(self, start, end)
        count += len(data)
        return data

    monkeypatch.setattr(Shipment, "_read", read)
    shipment = ship(keeper, store)
    for _ in range(60):
        log(keeper, b"x" * (MB // 2 - 1) + b"\n")
        shipment.step()
        shipment.prepare()
    shipment.finish()
    shipment.close()
    assert count < 6 * 30 * MB


def test_memory(keeper: Keeper, store: ObjectStore, thorough: bool) -> None:
    """It does not grow with the log."""
    import tracemalloc

    chance = random.Random(1)
    size = 128 if thorough else 40
    for _ in range(size):
        log(keeper, chance.randbytes(MB))
    tracemalloc.start()
    once(keeper, store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * MB
    found = store.head(LOG)
    assert found is not None
    assert found.size == size * MB
