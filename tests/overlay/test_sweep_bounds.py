"""What a sweep of task logs is kept from: to go on for ever, to leave its folder, and to end at one bad log."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from airflow_service.log_chain import Chain
from airflow_service.object_store import ObjectStore
from airflow_service.task_logs import sweep as sweep_module
from airflow_service.task_logs.journal import DONE, Journal, Keeper
from airflow_service.task_logs.sweep import QUIET, sweep
from harness.faulty_proxy import FaultyProxy
from harness.log_store import store_on
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path / "base")


def left_behind(keeper: Keeper, data: bytes, relative: str = LOG) -> Path:
    """A log whose supervisor was killed."""
    path = keeper.base / relative
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    keeper.save(Journal(relative))
    return path


def test_a_log_that_grows_all_the_time(keeper: Keeper, store: ObjectStore, proxy: FaultyProxy) -> None:
    """A task that outlived its supervisor writes faster than S3 answers: what was there at first is shipped."""
    path = left_behind(keeper, b"first\n")
    written = 0

    def write(method: str, key: str) -> None:
        nonlocal written
        if method == "PUT" and written < 40:
            written += 1
            with path.open("ab") as file:
                file.write(b"one more\n")

    proxy.before = write
    assert sweep(store=store, base=keeper.base).shipped == [LOG]
    assert proxy.count("PUT") <= 4
    proxy.before = None
    sweep(store=store, base=keeper.base)
    assert b"".join(Chain(store, LOG).stream()) == path.read_bytes()


def test_a_log_that_grows_is_seldom_merged(keeper: Keeper, store: ObjectStore, proxy: FaultyProxy) -> None:
    """Each merge makes the whole object anew: when the log has doubled, and when it has come to rest."""
    path = left_behind(keeper, b"x" * 1000 + b"\n")

    def merged() -> int:
        sweep(store=store, base=keeper.base)
        assert b"".join(Chain(store, LOG).stream()) == path.read_bytes()
        found = store.head(LOG)
        return found.size if found else 0

    sizes = [merged()]
    for _ in range(5):
        with path.open("ab") as file:
            file.write(b"y" * 299 + b"\n")
        sizes.append(merged())
    assert sizes == [1001, 1001, 1001, 1001, 2201, 2201]
    proxy.requests.clear()
    sweep(store=store, base=keeper.base)
    assert {method for method, _ in proxy.requests} <= {"GET"}
    os.utime(path, (0, time.time() - QUIET - 1))
    assert merged() == 2501


@pytest.mark.parametrize("folder", ["", DONE])
def test_a_journal_of_any_bytes(keeper: Keeper, store: ObjectStore, folder: str) -> None:
    """Whatever is wrong with one, the other logs are shipped."""
    names = [f"dag/task/{number}/1.log" for number in range(3)]
    for name in names:
        left_behind(keeper, b"one\n", name)
    place = keeper.folder / folder
    place.mkdir(exist_ok=True)
    (place / "bytes.json").write_bytes(b"\xff\xfe\x80")
    (place / "deep.json").write_bytes(b"[" * 100_000)
    (place / "surrogate.json").write_text(Journal("\ud800").as_json())
    report = sweep(store=store, base=keeper.base)
    assert sorted(report.shipped) == names
    assert sweep(store=store, base=keeper.base).quiet


def test_a_journal_that_makes_no_sense(keeper: Keeper, store: ObjectStore) -> None:
    """Its log is told of; the others are shipped."""
    left_behind(keeper, b"one\n", "dag/task/other/1.log")
    left_behind(keeper, b"one\n")
    broken = {**json.loads(Journal(LOG).as_json()), "shipped": "many"}
    keeper.path(LOG).write_text(json.dumps(broken))
    report = sweep(store=store, base=keeper.base)
    assert report.shipped == ["dag/task/other/1.log"]
    assert "TypeError" in report.failed[LOG]


def test_only_what_is_in_the_folder(keeper: Keeper, store: ObjectStore, s3: S3Server, tmp_path: Path) -> None:
    """Tasks may write journals and links: nothing that they name elsewhere is shipped, or waited for."""
    secret = tmp_path / "elsewhere/secret"
    secret.parent.mkdir()
    secret.write_bytes(b"root's\n")
    left_behind(keeper, b"one\n")
    for name in ("../elsewhere/secret", str(secret), "dag/../../elsewhere/secret"):
        keeper.save(Journal(name))
    (keeper.base / "folder").symlink_to(secret.parent)
    (keeper.base / "file").symlink_to(secret)
    os.mkfifo(keeper.base / "pipe")
    for name in ("folder/secret", "file", "pipe"):
        keeper.save(Journal(name))
    report = sweep(store=store, base=keeper.base)
    assert report.shipped == [LOG]
    assert len(report.damaged) == 3
    assert sorted(report.failed) == ["file", "folder/secret", "pipe"]
    assert s3.objects(store.location.bucket) == {f"logs/{LOG}": b"one\n"}


def test_uploads_in_a_bucket_that_is_shared(
    keeper: Keeper, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where logs have no folder of their own, those of logs that are known here alone are aborted."""
    store = store_on(s3.url, s3.bucket(), tmp_path, prefix="")
    client, bucket = s3.client(), store.location.bucket
    for key in (LOG, "elsewhere/dag/1.log"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    left_behind(keeper, b"one\n")
    monkeypatch.setattr(sweep_module, "ORPHAN", -1)
    assert sweep(store=store, base=keeper.base).aborted == 1
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [one["Key"] for one in left] == ["elsewhere/dag/1.log"]
