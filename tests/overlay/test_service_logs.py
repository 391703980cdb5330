"""Logs of services on their way to a real S3 server: whatever becomes of the files, each line is there once."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_service.service_logs.sources import Source
from harness.faulty_proxy import Fault, faulty_proxy
from harness.log_node import HOST, Node, quick_store, texts
from harness.log_store import store_on
from harness.s3 import S3Server

# Of today: on how many days a file may have been shipped is known by its first line.
TODAY = time.strftime("%Y-%m-%d", time.gmtime())
LINES = [f"[{TODAY} 10:15:{number:02d},000] line {number}" for number in range(40)]


class Site:
    """A node, and the bucket that it ships to."""

    def __init__(self, folder: Path, s3: S3Server, user: str = "admin", url: str = "") -> None:
        self.s3, self.bucket = s3, s3.bucket()
        # A client of one's own is needed only where retries matter: it takes long to make.
        store = store_on(url, self.bucket, folder, user) if url else quick_store(s3, self.bucket, user)
        self.node = Node(folder, store)

    def objects(self) -> dict[str, bytes]:
        return self.s3.objects(self.bucket)

    def texts(self) -> dict[str, bytes]:
        return texts(self.objects())

    def lines(self) -> list[str]:
        """All lines, in the order of the names."""
        return b"".join(self.texts().values()).decode().splitlines()


@pytest.fixture
def site(tmp_path: Path, s3: S3Server) -> Site:
    return Site(tmp_path, s3)


def rename(path: Path) -> Path:
    rotated = path.with_name(f"{path.name}.1")
    path.rename(rotated)
    return rotated


def copy_and_truncate(path: Path) -> Path:
    rotated = path.with_name(f"{path.name}.1")
    shutil.copyfile(path, rotated)
    os.truncate(path, 0)
    return rotated


def compress(path: Path) -> Path:
    rotated = path.with_name(f"{path.name}.1.gz")
    rotated.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return rotated


def test_a_live_log_goes_by_what_was_added(site: Site) -> None:
    """One segment for each run that finds something; nothing else is read or written."""
    node = site.node
    node.write("access.log", *LINES[:3])
    assert node.ship().shipped.segments == 1
    assert node.ship().shipped.segments == 0
    node.write("access.log", *LINES[3:5])
    node.ship()
    assert site.lines() == LINES[:5]
    assert len(site.objects()) == 2
    [name] = site.texts()
    begin = TODAY.replace("-", "") + "T101500"
    assert name.startswith(f"eu-1/node-1/nginx/{TODAY}/access.log.{begin}-")


@pytest.mark.parametrize("rotate", [rename, copy_and_truncate, compress])
@pytest.mark.parametrize("seen_before", [True, False])
def test_rotation(site: Site, rotate: Callable[[Path], Path], seen_before: bool) -> None:
    """Renamed, copied and truncated, or compressed, a file is one compressed object, and its successor another text."""
    node = site.node
    path = node.write("access.log", *LINES[:10])
    if seen_before:
        node.ship()
    node.write("access.log", *LINES[10:12])
    rotate(path)
    node.write("access.log", *LINES[12:14])
    node.ship()
    node.write("access.log", *LINES[14:15])
    node.ship()
    assert node.ship().problems == []
    assert site.lines() == LINES[:15]
    assert sorted(key.rpartition(".")[2].partition("/")[0] for key in site.objects()) == ["gz", "parts", "parts"]


def test_compressed_later(site: Site) -> None:
    """delaycompress: what was shipped as `.1` is not shipped again as `.2.gz`."""
    node = site.node
    rotated = rename(node.write("access.log", *LINES[:10]))
    node.ship()
    shutil.move(compress(rotated), rotated.with_name("access.log.2.gz"))
    rename(node.write("access.log", *LINES[10:20]))
    before = site.objects()
    assert node.ship().problems == []
    assert site.lines() == LINES[:20]
    assert before.items() <= site.objects().items()
    assert len(site.objects()) == 2


@pytest.mark.parametrize(
    ("user", "damage"), [("admin", lambda path: path.unlink()), ("writer", lambda path: path.write_text("{"))]
)
def test_without_its_state(tmp_path: Path, s3: S3Server, user: str, damage: Callable[[Path], Any]) -> None:
    """S3 tells what it has, also to who may not list: nothing is shipped twice, or left out."""
    site = Site(tmp_path, s3, user)
    node = site.node
    rename(node.write("access.log", *LINES[:10]))
    node.write("access.log", *LINES[10:20])
    node.write("error.log", f"{LINES[0]} starting")
    node.ship()
    damage(node.state)
    node.write("access.log", *LINES[20:30])
    node.write("error.log", "started")
    outcome = node.ship()
    assert len(outcome.problems) == len(list(tmp_path.glob("state.json.broken-*")))
    assert node.ship().problems == []
    assert site.lines() == [*LINES[:30], f"{LINES[0]} starting", "started"]


def test_two_files_with_one_first_line(site: Site) -> None:
    """A banner without a date is no name: the second file of the day gets a number."""
    node = site.node
    for number in range(3):
        path = node.write("web.log", "Starting", LINES[number])
        node.ship()
        path.rename(node.logs / f"web.log.{3 - number}")
    node.ship()
    assert sorted(site.texts().values()) == sorted(f"Starting\n{LINES[number]}\n".encode() for number in range(3))


def test_a_file_that_begins_anew_as_before(site: Site) -> None:
    """Truncated, and longer than before by the next run: its first line is the same, what was shipped is not."""
    node = site.node
    path = node.write("web.log", "Starting", LINES[0])
    node.ship()
    os.truncate(path, 0)
    node.write("web.log", "Starting", *LINES[1:9])
    assert node.ship().problems == []
    texts = ["\n".join(["Starting", *lines, ""]).encode() for lines in (LINES[:1], LINES[1:9])]
    assert sorted(site.texts().values()) == sorted(texts)


def test_a_day_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen on a day is a text of that day, finished on the next."""
    node = site.node
    node.write("access.log", *LINES[:5])
    node.ship()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86400)
    node.write("access.log", *LINES[5:9])
    node.ship()
    assert site.lines() == LINES[:9]
    today, tomorrow = (name.split("/")[3] for name in site.texts())
    assert today < tomorrow
    assert [key.endswith(".gz") for key in sorted(site.objects())] == [True, False]


def test_unfinished_lines_wait(site: Site) -> None:
    """For a minute; a file without any newline too, and what it has then is shipped as it is."""
    node = site.node
    path = node.write("a.log", LINES[0])
    with path.open("ab") as file:
        file.write(b"half \xff\x00")
    other = node.logs / "b.log"
    other.write_bytes(b"no end")
    node.ship()
    assert site.lines() == LINES[:1]
    for one in (path, other):
        os.utime(one, (time.time() - 120, time.time() - 120))
    node.ship()
    with path.open("ab") as file:
        file.write(b" rest\n")
    node.ship()
    assert list(site.texts().values()) == [LINES[0].encode() + b"\nhalf \xff\x00 rest\n", b"no end"]


def test_a_line_of_50_mb(site: Site) -> None:
    """Goes in segments of 8 MiB, and comes out of the compressed object as it was."""
    node = site.node
    path = node.logs / "big.log"
    line = b"".join(b"%08d" % number + b"x" * 65528 for number in range(800)) + b"\n"
    path.write_bytes(line)
    node.ship()
    assert max(map(len, site.objects().values())) == 8 << 20
    rename(path)
    node.ship()
    assert list(site.texts().values()) == [line]
    assert len(site.objects()) == 1


@pytest.mark.parametrize(
    ("method", "kind"),
    [("PUT", "lost"), ("PUT", "stored-500"), ("PUT", "corrupt"), ("GET", "truncated"), ("GET", "403 AccessDenied"),
     ("PUT", "403 RequestTimeTooSkewed"), ("PUT", "400 ExpiredToken"), ("GET", "503 SlowDown"), ("DELETE", "reset")],
)  # fmt: skip
def test_faults_of_the_store(tmp_path: Path, s3: S3Server, method: str, kind: str) -> None:
    """Whatever goes wrong, and whenever, a later run puts it right."""
    with faulty_proxy(s3.url) as proxy:
        site = Site(tmp_path, s3, url=proxy.url)
        node = site.node
        path = node.write("access.log", *LINES[:10])
        proxy.faults.append(Fault(kind, method, times=1))
        node.ship()
        node.write("access.log", *LINES[10:20])
        rename(path)
        node.write("access.log", *LINES[20:30])
        proxy.faults.append(Fault(kind, method, times=2))
        node.ship()
        proxy.faults.clear()
        node.ship()
        assert node.ship().problems == []
    assert site.lines() == LINES[:30]
    assert len([key for key in site.objects() if key.endswith(".gz")]) == 1


def test_an_answer_that_never_came(tmp_path: Path, s3: S3Server) -> None:
    """A segment was stored, nobody knew, and the file has grown: what it has counts, and the rest follows it."""
    with faulty_proxy(s3.url) as proxy:
        site = Site(tmp_path, s3, url=proxy.url)
        site.node.write("access.log", *LINES[:10])
        proxy.faults += [Fault("lost", "PUT"), Fault("503 SlowDown", "PUT", times=9)]
        assert len(site.node.ship().problems) == 1
        assert site.lines() == LINES[:10]
        proxy.faults.clear()
        site.node.write("access.log", *LINES[10:20])
        assert site.node.ship().problems == []
        assert site.node.ship().problems == []
    assert site.lines() == LINES[:20]


def test_a_file_truncated_while_it_is_live(site: Site) -> None:
    """What was shipped stays; what was not is told of; and the file goes on as another."""
    node = site.node
    path = node.write("access.log", *LINES[:10])
    node.ship()
    os.truncate(path, 0)
    node.write("access.log", *LINES[10:12])
    assert node.ship().problems == []
    assert site.lines() == LINES[:12]


def test_by_day(site: Site) -> None:
    """The scheduler's log for each DAG file: sent once an hour, and finished with its day."""
    node = site.node
    node.sources = (Source("scheduler", (f"{node.logs}/????-??-??/**/*.log",), 3600, by_day=True),)
    node.write("2020-01-01/team/etl.py.log", *LINES[:3])
    node.ship()
    node.write("2020-01-01/team/etl.py.log", *LINES[3:6])
    assert node.ship().shipped.segments == 0
    [name] = site.texts()
    assert "/scheduler/" in name
    assert "/2020-01-01/team/etl.py.log." in name


def test_a_refusal_while_a_gone_file_is_packed(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that could not be seen is not given up with those that were packed without it."""
    with faulty_proxy(s3.url) as proxy:
        site = Site(tmp_path, s3, "writer", url=proxy.url)
        node = site.node
        for number in range(3):
            path = node.write("access.log", LINES[number])
            node.ship()
        path.unlink()
        node.ship()
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 7200)
        second = f"{len(LINES[0]) + 1:020d}"
        for user, refused in (("writer", 1), ("admin", 1)):
            node.store = store_on(proxy.url, site.bucket, tmp_path, user)
            proxy.faults.append(Fault("403 AccessDenied", "GET", second, times=refused))
            assert len(node.ship().problems) == 1
            assert site.lines() == LINES[:3]
            proxy.faults.clear()
        assert node.ship().problems == []
    assert site.lines() == LINES[:3]
    assert [key.endswith(".gz") for key in site.objects()] == [True]


@pytest.mark.parametrize("user", ["admin", "writer"])
def test_a_refusal_while_the_past_is_looked_for(tmp_path: Path, s3: S3Server, user: str) -> None:
    """What S3 has is not shipped once more because it did not tell; where it tells of nothing so, it is shipped."""
    with faulty_proxy(s3.url) as proxy:
        site = Site(tmp_path, s3, user, url=proxy.url)
        node = site.node
        rename(node.write("access.log", *LINES[:10]))
        node.ship()
        node.state.unlink()
        proxy.faults.append(Fault("403 AccessDenied", "GET", times=9999))
        assert len(node.ship().problems) == 1
        proxy.faults.clear()
        assert node.ship().problems == []
        site.s3.client().delete_object(Bucket=site.bucket, Key=f"logs/_service/eu-1/{HOST}/may-read")
        assert site.lines() == LINES[:10]
        assert len(site.objects()) == 1


def test_refusals_of_what_is_not_there(tmp_path: Path, s3: S3Server) -> None:
    """As S3 gives them to who may not list: what can be read beside it shows that there is nothing of the past."""
    with faulty_proxy(s3.url) as proxy:
        site = Site(tmp_path, s3, "writer", url=proxy.url)
        rename(site.node.write("access.log", *LINES[:10]))
        proxy.faults.append(Fault("403 AccessDenied", "GET", "access.log", times=9999))
        proxy.faults.append(Fault("403 AccessDenied", "GET", "list-type", times=9999))

        def stored(method: str, path: str) -> None:
            if method == "PUT" and "access.log" in path:
                proxy.faults.clear()

        proxy.before = stored
        assert site.node.ship().problems == []
    objects = site.objects()
    assert objects.pop(f"logs/_service/eu-1/{HOST}/may-read")
    assert list(texts(objects).values()) == ["".join(f"{line}\n" for line in LINES[:10]).encode()]
