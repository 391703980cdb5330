"""A log that is cut, and has grown beyond what was shipped before anybody looked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow_service.log_chain import Chain, Writer
from airflow_service.object_store import ObjectStore
from airflow_service.task_logs.journal import Keeper
from airflow_service.task_logs.shipment import Shipment
from airflow_service.task_logs.sweep import sweep
from harness.log_store import store_on
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"
OLD = b"".join(b"%03d of the old lines\n" % number for number in range(300))
NEW = b"".join(b"%03d of the new lines, longer\n" % number for number in range(300))


@pytest.fixture
def store(s3: S3Server, tmp_path: Path) -> ObjectStore:
    return store_on(s3.url, s3.bucket(), tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "base" / LOG
    path.parent.mkdir(parents=True)
    path.write_bytes(OLD)
    return path


@pytest.fixture
def keeper(path: Path, tmp_path: Path) -> Keeper:
    return Keeper(tmp_path / "base")


def cut_and_written(path: Path, data: bytes) -> None:
    """As `> file` does, and then its writer: the file is the same one."""
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(data)


def ship(keeper: Keeper, store: ObjectStore) -> Shipment:
    shipment = Shipment(keeper, LOG, Writer(store, LOG))
    shipment.begin()
    return shipment


def text(store: ObjectStore) -> bytes:
    return b"".join(Chain(store, LOG).stream())


@pytest.mark.parametrize("new", [NEW, NEW[: len(OLD)]], ids=["longer", "as-long"])
@pytest.mark.parametrize("steps", [1, 3])
def test_while_it_is_shipped(keeper: Keeper, store: ObjectStore, path: Path, new: bytes, steps: int) -> None:
    """Nothing of what came after the cut is taken for what was shipped before it."""
    path.write_bytes(b"")
    shipment = ship(keeper, store)
    for number in range(steps):
        with path.open("ab") as file:
            file.write(OLD[len(OLD) * number // steps : len(OLD) * (number + 1) // steps])
        assert shipment.step()
    cut_and_written(path, new)
    shipment.finish()
    shipment.close()
    assert text(store) == OLD + new


@pytest.mark.parametrize("merged", [False, True])
def test_between_two_processes(keeper: Keeper, store: ObjectStore, path: Path, merged: bool) -> None:
    """What was shipped is written down, for who comes next."""
    first = ship(keeper, store)
    first.step()
    if merged:
        first.merge()
    first.keep()
    first.close()
    cut_and_written(path, NEW)
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert text(store) == OLD + NEW
    assert sweep(store=store, base=keeper.base).quiet


def test_what_was_found_and_was_there_already(keeper: Keeper, store: ObjectStore, path: Path) -> None:
    """The text of before has an end, too."""
    store.create(LOG, OLD)
    shipment = ship(keeper, store)
    assert shipment.step() == 0
    cut_and_written(path, NEW)
    shipment.finish()
    assert text(store) == OLD + NEW


def test_a_journal_of_before(keeper: Keeper, store: ObjectStore, path: Path) -> None:
    """One that does not say what was shipped last is gone on with."""
    first = ship(keeper, store)
    first.step()
    first.keep()
    journal = keeper.path(LOG)
    known = json.loads(journal.read_bytes())
    del known["tail"]
    journal.write_text(json.dumps(known))
    with path.open("ab") as file:
        file.write(NEW)
    sweep(store=store, base=keeper.base)
    assert text(store) == OLD + NEW
