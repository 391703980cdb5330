"""Logs of services while something fails for long: S3 for one log, or the disk of what is known."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from airflow_service.object_store import Stored
from airflow_service.service_logs import state
from airflow_service.service_logs.sources import Source
from harness.faulty_proxy import Fault, faulty_proxy
from harness.log_node import Node, quick_store, texts
from harness.s3 import S3Server

TODAY = time.strftime("%Y-%m-%d", time.gmtime())
LINES = [f"[{TODAY} 10:15:{number:02d},000] line {number}" for number in range(40)]


def no_room(path: Path, data: bytes) -> None:
    """In place of writing a file."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_while_nothing_can_be_written_down(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun goes on, over midnight too; a new text waits on the disk, and then goes once."""
    bucket = s3.bucket()
    node = Node(tmp_path, quick_store(s3, bucket))
    path = node.write("access.log", *LINES[:10])
    node.ship()
    path.rename(node.logs / "access.log.1")
    node.write("access.log.1", *LINES[10:12])
    node.write("access.log", *LINES[12:20])
    kept, real = state.replace, time.time
    monkeypatch.setattr(state, "replace", no_room)
    for days in (0, 1, 2):
        monkeypatch.setattr(time, "time", lambda days=days: real() + days * 86400)
        assert "cannot be written: No space left" in node.ship().state_trouble
        [begun] = texts(s3.objects(bucket)).values()
        assert begun.decode().splitlines() == LINES[:12]
    monkeypatch.setattr(state, "replace", kept)
    assert node.ship().problems == []
    assert node.ship().problems == []
    shipped = [text.decode().splitlines() for text in texts(s3.objects(bucket)).values()]
    assert sorted(shipped) == [LINES[:12], LINES[12:20]]


def test_what_is_there_is_not_sent_again(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each run that knows nothing of those before: one look at each segment, and one upload for what is new."""
    bucket = s3.bucket()
    with faulty_proxy(s3.url) as proxy:
        node = Node(tmp_path, quick_store(S3Server(proxy.url), bucket))
        for name in ("access.log", "error.log"):
            node.write(name, LINES[0])
        node.ship()
        (node.logs / "error.log").rename(node.logs / "error.log.1")
        proxy.faults.append(Fault("403 AccountProblem", "PUT", ".gz"))
        assert len(node.ship().problems) == 1
        monkeypatch.setattr(state, "replace", no_room)
        for number in range(1, 9):
            node.write("access.log", LINES[number])
            proxy.requests.clear()
            assert node.ship().state_trouble
            # The first that is there already is found by an upload.
            assert proxy.count("PUT") <= 2
            assert not [path for method, path in proxy.requests if method != "GET" and ".gz" in path]
    [shipped, _] = texts(s3.objects(bucket)).values()
    assert shipped.decode().splitlines() == LINES[:9]


class Killed(BaseException):
    """In place of `kill -9`."""


def test_killed_just_before_midnight(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text's first segment was stored, and nothing written down since: it is known on the next day."""
    bucket = s3.bucket()
    node = Node(tmp_path, quick_store(s3, bucket))
    node.ship()
    node.write("access.log", *LINES[:10])
    create, real = node.store.create, time.time

    def killed(name: str, body: bytes, metadata: Mapping[str, str], *, passing: bool) -> Stored:
        create(name, body, metadata, passing=passing)
        raise Killed

    monkeypatch.setattr(node.store, "create", killed)
    with pytest.raises(Killed):
        node.ship()
    monkeypatch.setattr(node.store, "create", create)
    monkeypatch.setattr(time, "time", lambda: real() + 86400)
    node.write("access.log", *LINES[10:12])
    assert node.ship().problems == []
    assert b"".join(texts(s3.objects(bucket)).values()).decode().splitlines() == LINES[:12]


@pytest.mark.parametrize("kind", ["403 InvalidObjectState", "400 KeyTooLongError"])
def test_what_fails_for_ever_keeps_nothing_back(tmp_path: Path, s3: S3Server, kind: str) -> None:
    """The oldest logs can never be shipped; the others are, in the same run."""
    bucket = s3.bucket()
    with faulty_proxy(s3.url) as proxy:
        node = Node(tmp_path, quick_store(S3Server(proxy.url), bucket))
        for number in range(4):
            os.utime(node.write(f"bad-{number}x.log", LINES[number]), (number, number))
        node.write("good.log", LINES[9])
        proxy.faults.append(Fault(kind, path="bad-", times=10**6))
        assert len(node.ship().problems) == 4
    assert list(texts(s3.objects(bucket)).values()) == [f"{LINES[9]}\n".encode()]


def test_a_store_that_is_away_is_left_alone(tmp_path: Path, s3: S3Server) -> None:
    """After three logs that got no answer; another run begins with others."""
    bucket = s3.bucket()
    with faulty_proxy(s3.url) as proxy:
        node = Node(tmp_path, quick_store(S3Server(proxy.url), bucket))
        for number in range(8):
            node.write(f"bad-{number}x.log", LINES[number])
        node.write("good.log", LINES[9])
        proxy.faults.append(Fault("404 NoSuchBucket", path="bad-", times=10**6))
        for _ in range(60):
            problems = node.ship().problems
            assert "the store is left alone until the next run" in problems
            assert len(problems) <= 9
            if s3.objects(bucket):
                break
    assert list(texts(s3.objects(bucket)).values()) == [f"{LINES[9]}\n".encode()]


def test_names_of_any_length(tmp_path: Path, s3: S3Server) -> None:
    """DAG files in deep folders with names in Chinese: a key takes 1024 bytes, and two names stay two."""
    bucket = s3.bucket()
    node = Node(tmp_path, quick_store(s3, bucket))
    node.sources = (Source("scheduler", (f"{node.logs}/????-??-??/**/*.log",), by_day=True),)
    folder = f"2020-01-01/{'集計' * 20}/{'毎日の売上' * 8}/{'x' * 250}/{'y' * 250}"
    for number in range(3):
        node.write(f"{folder}/{number}{'処理' * 12}.py.log", LINES[0], LINES[number])
    assert node.ship().problems == []
    found = texts(s3.objects(bucket))
    assert sorted(found.values()) == sorted(f"{LINES[0]}\n{LINES[number]}\n".encode() for number in range(3))
    assert len({name.rpartition("/")[2] for name in found}) == 3
