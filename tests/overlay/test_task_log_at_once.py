"""What waits at a task's end is sent at once: what may happen to the file, the store and the process meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer
from airflow_service.object_store import ObjectStore, StoreError
from airflow_service.task_logs import shipment as shipment_module
from airflow_service.task_logs.journal import Keeper, is_live
from airflow_service.task_logs.shipper import Shipper
from airflow_service.task_logs.sweep import sweep
from harness.faulty_proxy import Fault, FaultyProxy
from harness.shipping import LOG, MB, log, once, ship, text

pytestmark = pytest.mark.slow
_SUPERVISOR = """
import sys, time
from pathlib import Path
from airflow_service.task_logs import shipper as module
from airflow_service.task_logs.journal import Keeper
from harness.log_store import store_on

url, bucket, folder, name = sys.argv[1:]
module.PATIENCE = 1.0
shipper = module.Shipper(Keeper(Path(folder, "base")), name, lambda: store_on(url, bucket, Path(folder)))
print(shipper.close(), time.time(), flush=True)
"""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipment_module, "LARGEST_SEGMENT", 10_000)


@pytest.mark.parametrize("shipped", [False, True])
def test_a_file_that_is_cut_meanwhile(
    keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, small: None, shipped: bool
) -> None:
    """And has grown beyond what was to be sent: nothing of the new text is taken for the old one's."""
    first = b"of before\n" * 1000 if shipped else b""
    log(keeper, first)
    shipment = ship(keeper, store)
    shipment.begin()
    while shipment.step():
        pass
    log(keeper, b"old\n" * 10_000)
    new = b"new!\n" * 20_000

    def cut(method: str, path: str) -> None:
        # The empty segment goes out first; then the file is read.
        if method == "GET":
            proxy.before = None
            (keeper.base / LOG).write_bytes(new)

    proxy.before = cut
    with pytest.raises(StoreError, match="here no more"):
        shipment.finish()
    shipment.close()
    sweep(store=store, base=keeper.base)
    once(keeper, store)
    assert store.read(LOG) == first + new


def test_more_than_is_sent_at_once(
    keeper: Keeper, store: ObjectStore, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes one after the other, the rest as a segment, and is one object then."""
    monkeypatch.setattr(shipment_module, "MOST_AT_ONCE", 7 * MB)
    monkeypatch.setattr(shipment_module, "_READ", MB)
    log(keeper, random.Random(1).randbytes(21 * MB + 100))
    once(keeper, store)
    assert store.read(LOG) == (keeper.base / LOG).read_bytes()
    assert [one.name for one in store.list(LOG)] == [LOG]


@pytest.mark.parametrize("rights", [("list",), ("delete",), ("list", "delete")])
def test_without_rights(
    keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, small: None, rights: tuple[str, ...]
) -> None:
    """It arrives, is found by whoever continues, and others go on behind it."""
    proxy.without = frozenset(rights)
    for number in range(3):
        log(keeper, b"%d\n" % number * 10_000)
        shipment = ship(keeper, store)
        shipment.begin()
        if number == 1:
            # The answer to what makes it the object is lost.
            proxy.faults.append(Fault("lost", "PUT", "1.log", times=9))
            proxy.faults.append(Fault("503 SlowDown", "PUT", times=9))
            with pytest.raises(StoreError):
                shipment.finish()
            proxy.faults.clear()
        else:
            shipment.finish()
        shipment.close()
    once(keeper, store)
    assert Writer(store, LOG).append(b"other\n", "other", 0) == 60_000
    assert text(store) == (keeper.base / LOG).read_bytes() + b"other\n"


def test_a_store_that_is_slow(keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, quick: None) -> None:
    """As long as it answers, or takes bytes, it is waited for: longer than one that does neither."""
    proxy.faults.append(Fault("slow", times=1000, seconds=0.4))
    shipper = Shipper(keeper, LOG, lambda: store)
    log(keeper, b"x" * 9 * MB)
    begun = time.monotonic()
    assert shipper.close()
    assert time.monotonic() - begun > 3
    assert store.read(LOG) == (keeper.base / LOG).read_bytes()


def test_a_store_that_hangs_holds_no_process_up(
    keeper: Keeper, store: ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """The supervisor ends though all its requests wait for answers; the sweep finishes."""
    log(keeper, b"line\n" * (6 * MB))
    proxy.faults.append(Fault("stall", "PUT", "partNumber", times=1000))
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'overlay'}:{root / 'tests'}"}
    bucket = store.location.bucket
    ended = subprocess.run(
        [sys.executable, "-c", _SUPERVISOR, proxy.url, bucket, str(tmp_path), LOG],
        env=environment, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    done, closed = ended.stdout.split()
    assert done == "False"
    assert time.time() - float(closed) < 5
    assert any("partNumber" in path for _, path in proxy.requests)
    assert not is_live(keeper, LOG)
    proxy.faults.clear()
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert text(store) == (keeper.base / LOG).read_bytes()
