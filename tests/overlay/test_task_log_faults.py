"""A local log's way to S3 while rights lack, disks fail, S3 is down, and processes are killed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer
from airflow_service.object_store import ObjectStore, StoreError
from airflow_service.task_logs import shipment as shipment_module
from airflow_service.task_logs import shipper as shipper_module
from airflow_service.task_logs.journal import Journal, Keeper, Lock, Locked, confirmed, is_live
from airflow_service.task_logs.shipment import Shipment
from airflow_service.task_logs.shipper import Shipper
from airflow_service.task_logs.sweep import QUIET, sweep
from harness.faulty_proxy import Fault, FaultyProxy
from harness.shipping import LOG, MB, log, once, ship, text, until

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """A process that is killed does nothing more: no `except` of the code sees this."""


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


@pytest.mark.parametrize("is_here", [True, False])
def test_a_text_that_was_deleted_is_begun_anew(keeper: Keeper, store: ObjectStore, is_here: bool) -> None:
    """What is on this machine follows, all of it: what would go on where the text once ended, nobody would see."""
    log(keeper, b"one\n")
    once(keeper, store)
    store.delete([LOG])
    log(keeper, b"two\n")
    with pytest.raises(StoreError, match="it ends at 0, and was stored up to 8"):
        once(keeper, store)
    if not is_here:
        (keeper.base / LOG).unlink()
    assert not sweep(store=store, base=keeper.base).failed
    assert text(store) == (b"one\ntwo\n" if is_here else b"")


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


@pytest.mark.parametrize("die_at", range(1, 14))
def test_killed_while_all_is_sent_at_once(
    keeper: Keeper, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, die_at: int, thorough: bool
) -> None:
    """Before any request, of the upload in parts too: the sweep finishes, and what another machine added stays."""
    large = thorough or die_at in (5, 7, 9)
    if not large:
        monkeypatch.setattr(shipment_module, "LARGEST_SEGMENT", 1000)
    first, much = b"one\n", b"x" * 2000 + b"\n" if not large else b"x" * (9 * MB) + b"\n"
    log(keeper, first)
    shipment = ship(keeper, store)
    shipment.begin()
    shipment.step()
    log(keeper, much)
    _die_before(store, None, die_at, shipment)
    shipment.close()
    other = Writer(store, LOG)
    at = other.append(b"of another machine\n", "other", 0)
    if die_at % 2:
        other.merge()
    sweep(store=store, base=keeper.base)
    found = text(store)
    other.merge()
    assert found == store.read(LOG)
    assert found.startswith(first)
    assert found.count(b"of another machine\n") == 1
    assert found.replace(b"of another machine\n", b"") == first + much
    assert at in (len(first), len(first + much))
    # What the killed one left behind goes when the log is at rest.
    os.utime(keeper.base / LOG, (0, time.time() - QUIET))
    sweep(store=store, base=keeper.base)
    assert [one.name for one in store.list(LOG)] == [LOG]
    assert sweep(store=store, base=keeper.base).quiet


def _die_before(store: ObjectStore, proxy: FaultyProxy | None, number: int, shipment: Shipment) -> None:
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
