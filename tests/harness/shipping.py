"""A local log of one task that is shipped: fixtures, and what tests do with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow_service.log_chain import Chain, Writer
from airflow_service.log_chain.writing import new_id
from airflow_service.object_store import ObjectStore
from airflow_service.task_logs import shipper as shipper_module
from airflow_service.task_logs.journal import Keeper
from airflow_service.task_logs.shipment import Shipment

from harness.faulty_proxy import FaultyProxy, faulty_proxy
from harness.log_store import store_on
from harness.s3 import S3Server

LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"
MB = 1 << 20


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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOLD", 0.2), ("_FIRST", 0.0), ("PATIENCE", 3.0), ("LOOK", 0.02)):
        monkeypatch.setattr(shipper_module, name, value)


def log(keeper: Keeper, data: bytes) -> None:
    with (keeper.base / LOG).open("ab") as file:
        file.write(data)


def add(writer: Writer, *bodies: bytes) -> None:
    """Append each where the text ends."""
    for body in bodies:
        writer.append(body, new_id(), writer.end())


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


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)
