"""`airflow-service logs print`, and with -f: what comes to several logs is printed once, whatever happens meanwhile."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer, segment
from airflow_service.log_chain.writing import new_id
from airflow_service.log_reading import blocks
from airflow_service.log_reading.catalogue import Log, ServiceLogs, TaskLogs, Wanted, find
from airflow_service.log_reading.following import Follower
from airflow_service.log_reading.printing import Printer
from airflow_service.log_reading.source import NotThere
from airflow_service.object_store import ObjectStore
from harness.faulty_proxy import Fault, faulty_proxy
from harness.log_node import quick_store
from harness.s3 import S3Server

SCHEDULERS = ServiceLogs(service="scheduler")


def text_of(host: str, day: str) -> str:
    return f"_service/eu-1/{host}/scheduler/{day}/scheduler.log.{day}-{host * 8}"


@dataclass
class Screen:
    """Somebody who follows; `look()` gives what was printed since the last look."""

    store: ObjectStore
    wanted: Wanted
    last: int = 1000
    out: io.BytesIO = field(default_factory=io.BytesIO)

    def __post_init__(self) -> None:
        self.printer = Printer(self.store, Path("/nowhere"), self.out, on_terminal=False)
        self.follower = Follower(self.printer, self.listed, self.last)

    def listed(self) -> list[Log]:
        return sorted(find(self.store, self.wanted), key=lambda log: log.order)

    def look(self) -> str:
        self.out.seek(0)
        self.out.truncate()
        self.follower.look()
        return self.out.getvalue().decode()


def grow(store: ObjectStore, name: str, text: str) -> None:
    """Add to a log, as a shipper does."""
    writer = Writer(store, name)
    writer.append(text.encode(), new_id(), writer.end())


def test_logs_of_many_hosts(s3: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    """What comes to each is printed, what was there only of the last one, and a new day's texts from the beginning."""
    store = quick_store(s3, s3.bucket())
    for host in "abcde":
        store.create(segment(text_of(host, "2026-11-22"), 0), f"{host} old\n".encode())
    screen = Screen(store, SCHEDULERS)
    assert screen.look() == "e old\n"
    for host in "abcd":
        store.create(segment(text_of(host, "2026-11-22"), 6), f"{host} new\n".encode())
    assert screen.look() == "a new\nb new\nc new\nd new\n"
    assert screen.look() == ""
    for host in "abc":
        store.create(segment(text_of(host, "2026-11-23"), 0), f"{host} next day\n".encode())
    assert screen.look() == "a next day\nb next day\nc next day\n"
    assert screen.look() == ""
    told = capsys.readouterr().err.splitlines()
    assert [line.partition("eu-1/")[2][0] for line in told] == [*"eabcdabc"]


def test_what_is_packed_is_read_once(s3: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    """For the lines that were not printed yet; where there are none, not at all."""
    bucket = s3.bucket()
    with faulty_proxy(s3.url) as proxy:
        store = quick_store(S3Server(proxy.url), bucket)
        texts = {host: f"{host} one\n" for host in "ab"}
        for host, text in texts.items():
            store.create(segment(text_of(host, "2026-11-22"), 0), text.encode())
        screen = Screen(store, SCHEDULERS)
        assert screen.look() == "b one\n"
        texts["b"] += "b two\n"
        for host, text in texts.items():
            name = text_of(host, "2026-11-22")
            store.create(
                f"{name}.gz", gzip.compress(text.encode()), {"writer": "x", "range": f"0-{len(text)}"}
            )
            store.delete([segment(name, 0)])
        proxy.requests.clear()
        assert screen.look() == "b two\n"
        assert len([path for _, path in proxy.requests if "bbb.gz" in path]) <= 2
        assert len([path for _, path in proxy.requests if "aaa.gz" in path]) <= 1
        proxy.requests.clear()
        assert [screen.look() for _ in range(3)] == ["", "", ""]
        assert not [path for _, path in proxy.requests if ".gz" in path]
    assert capsys.readouterr().err.count("==>") == 1


def test_after_a_failure_it_goes_on_where_it_was(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line twice, and no other log is kept back; the trouble is told once."""
    monkeypatch.setattr(blocks, "BLOCK", 20)
    monkeypatch.setattr(blocks, "_WAITS", ())
    bucket = s3.bucket()
    with faulty_proxy(s3.url) as proxy:
        store = quick_store(S3Server(proxy.url), bucket)
        grow(store, "dag/a_task/run/1.log", "begun\n")
        screen = Screen(store, TaskLogs(dag="dag"))
        assert screen.look() == "begun\n"
        text = "".join(f"line {number:02d}\n" for number in range(12))
        grow(store, "dag/a_task/run/1.log", text)
        grow(store, "dag/b_task/run/1.log", "another\n")
        read: list[str] = []

        def third(method: str, path: str) -> None:
            if method == "GET" and "a_task" in path and f"{6:020d}" in path:
                read.append(path)
                if len(read) == 3:
                    proxy.faults.append(Fault("403 AccountProblem", "GET", "a_task", times=2))

        proxy.before = third
        begun = screen.look()
        assert begun.endswith("another\n")
        assert text.startswith(begun.removesuffix("another\n"))
        proxy.faults.clear()
        assert begun.removesuffix("another\n") + screen.look() == text
        assert len(begun) > len("another\n") + 20
        assert screen.look() == ""


def test_a_log_that_was_packed_since_it_was_listed(s3: S3Server) -> None:
    """Is printed from what it became; one that has gone keeps no other back, and is told of at the end."""
    store = quick_store(s3, s3.bucket())
    for host in "abc":
        store.create(segment(text_of(host, "2026-11-22"), 0), f"{host} one\n".encode())
    screen = Screen(store, SCHEDULERS)
    listed = screen.listed()
    store.create(f"{text_of('a', '2026-11-22')}.gz", gzip.compress(b"a one\na two\n"))
    store.delete([segment(text_of(host, "2026-11-22"), 0) for host in "ab"])
    with pytest.raises(NotThere, match="bbb"):
        screen.printer.print_all(listed, None)
    assert screen.out.getvalue() == b"a one\na two\nc one\n"


def test_nothing_at_first(s3: S3Server) -> None:
    """A log that begins later is printed from its beginning, also if there was none before."""
    store = quick_store(s3, s3.bucket())
    screen = Screen(store, TaskLogs(dag="dag"), last=3)
    assert screen.look() == ""
    grow(store, "dag/task/run/1.log", "one\ntwo\n")
    grow(store, "dag/task/run/2.log", "three\n")
    assert screen.look() == "one\ntwo\nthree\n"
    Writer(store, "dag/task/run/1.log").merge()
    grow(store, "dag/task/run/1.log", "four\n")
    assert screen.look() == "four\n"
