"""Logs as their readers see them, from a real store: one text, whatever is appended, merged, or fails."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer, segment
from airflow_service.log_chain.writing import new_id
from airflow_service.log_reading import reader, stored
from airflow_service.log_reading.extents import Memory
from airflow_service.log_reading.joined import WithLocalTail
from airflow_service.log_reading.on_machines import LocalFile
from airflow_service.log_reading.pages import PAGE
from airflow_service.log_reading.reader import Reader
from airflow_service.log_reading.source import NotThere, Unreadable
from airflow_service.log_reading.stored import StoredText
from airflow_service.object_store import ObjectStore
from harness.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from harness.log_readers import Follower
from harness.log_store import store_on
from harness.s3 import S3Server
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow
LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"


@pytest.fixture(scope="module")
def proxy(s3: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3.url) as running:
        yield running


@pytest.fixture(params=["admin", "writer"])
def store(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> ObjectStore:
    """As who may do all, and as who may neither list nor delete."""
    return store_on(s3.url, s3.bucket(), tmp_path, request.param)


@pytest.fixture
def admin(s3: S3Server, store: ObjectStore, tmp_path: Path) -> ObjectStore:
    """The same place, for the one who writes."""
    return store_on(s3.url, store.location.bucket, tmp_path, "admin")


def lines(count: int, seed: int = 1) -> bytes:
    """Numbered lines of various lengths, some with characters of several bytes."""
    chance = random.Random(seed)
    return b"".join(f"{number} {'äöü€𝄞x'[number % 6] * chance.randrange(100)}\n".encode() for number in range(count))


def append(store: ObjectStore, *bodies: bytes, log: str = LOG) -> None:
    writer = Writer(store, log)
    for body in bodies:
        writer.append(body, new_id(), writer.end())


def test_a_log_of_the_release(store: ObjectStore, admin: ObjectStore) -> None:
    """One object: its end first, then page by page up to its beginning, and each look asks for a page alone."""
    text = lines(10_000)
    admin.create(LOG, text)
    page = Follower(lambda: [StoredText(store, LOG)])
    page.look()
    assert page.looks[0].is_at_end
    assert PAGE / 2 < len(page.text.encode()) <= PAGE
    assert text.decode().endswith("\n" + page.text)
    page.go_up()
    assert page.text == text.decode()


def test_segments_and_merges_between_looks(store: ObjectStore, admin: ObjectStore) -> None:
    """What is shown is the text, also when what was read is moved to another object."""
    chance = random.Random(2)
    text = lines(3000)
    page = Follower(lambda: [StoredText(store, LOG)])
    at = 0
    while at < len(text):
        size = chance.randrange(1, 20_000)
        append(admin, text[at : at + size])
        at += size
        if chance.random() < 0.3:
            Writer(admin, LOG).merge()
        if chance.random() < 0.6:
            page.look()
    Writer(admin, LOG).merge()
    page.catch_up()
    assert not any(look.begins_anew or look.trouble for look in page.looks)
    page.go_up()
    assert page.text == text.decode()


def test_a_merge_within_a_look(s3: S3Server, proxy: FaultyProxy, tmp_path: Path) -> None:
    """While somebody reads, the segments go, and a writer that was overtaken puts one in a freed place."""
    bucket = s3.bucket()
    admin, store = store_on(s3.url, bucket, tmp_path), store_on(proxy.url, bucket, tmp_path, "reader")
    text = lines(500)
    append(admin, *[text[at : at + 1000] for at in range(0, len(text), 1000)])
    page = Follower(lambda: [StoredText(store, LOG, Memory())])

    def disturb(method: str, path: str) -> None:
        if ".parts/" in path:
            proxy.before = None
            Writer(admin, LOG).merge()
            admin.create(segment(LOG, 2000), b"of a writer that was overtaken\n" * 50)

    proxy.before = disturb
    page.look()
    proxy.before = None
    page.go_up()
    assert page.text == text.decode()
    append(admin, b"more\n")
    page.catch_up()
    assert page.text == text.decode() + "more\n"


def test_many_small_segments(store: ObjectStore, admin: ObjectStore) -> None:
    """A page has so many as are read at once; who follows asks for the new ones alone."""
    bodies = [f"line {number}\n".encode() for number in range(150)]
    at = 0
    for body in bodies:
        admin.create(segment(LOG, at), body)
        at += len(body)
    page = Follower(lambda: [StoredText(store, LOG)])
    page.look()
    assert page.text == b"".join(bodies[-stored.AT_ONCE :]).decode()
    page.go_up()
    assert page.text == b"".join(bodies).decode()


def test_who_follows_asks_for_little(s3: S3Server, proxy: FaultyProxy, tmp_path: Path) -> None:
    """A look at a log of many segments that finds one more takes a few requests, with the right to list or not."""
    for user in ("reader", "writer"):
        bucket = s3.bucket()
        admin, store = store_on(s3.url, bucket, tmp_path), store_on(proxy.url, bucket, tmp_path, user)
        for number in range(40):
            admin.create(segment(LOG, number * 5), b"four\n")
        page = Follower(lambda store=store: [StoredText(store, LOG)])
        page.look()
        for body in (b"next\n", b"", b"last\n"):
            if body:
                append(admin, body)
            before = len(proxy.requests)
            page.look()
            assert len(proxy.requests) - before <= 5
        assert page.text == "four\n" * 40 + "next\nlast\n"


@pytest.fixture(scope="module")
def shared(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    """A store for many logs: each example has its own."""
    return store_on(s3.url, s3.bucket(), tmp_path_factory.mktemp("shared"))


_NUMBERS = itertools.count()
_STEPS = st.tuples(st.binary(min_size=1, max_size=40), st.booleans(), st.booleans())


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(_STEPS, min_size=1, max_size=5))
def test_any_bytes_cut_anywhere(shared: ObjectStore, steps: list[tuple[bytes, bool, bool]]) -> None:
    """Any text, in any segments, with merges and looks at any time, reads as the whole does."""
    log = f"{next(_NUMBERS)}.log"
    page = Follower(lambda: [StoredText(shared, log)])
    for body, merges, looks in steps:
        append(shared, body, log=log)
        if merges:
            Writer(shared, log).merge()
        if looks:
            page.look()
    page.catch_up()
    page.go_up()
    assert page.text == b"".join(body for body, _, _ in steps).decode("utf-8", "replace")


FAULTS = [
    (Fault("403 AccessDenied", "GET", times=99), "AccessDenied"),
    (Fault("403 ExpiredToken", "GET", times=99), "ExpiredToken"),
    (Fault("404 NoSuchBucket", "GET", times=99), "NoSuchBucket"),
    (Fault("500 InternalError", "GET", times=99), "InternalError"),
    (Fault("503 SlowDown", "GET", times=99), "SlowDown"),
    (Fault("truncated", "GET", times=99), "s3://"),
    (Fault("reset", "GET", times=99), "s3://"),
]


def test_faults_are_told_and_pass(s3: S3Server, proxy: FaultyProxy, tmp_path: Path) -> None:
    """Each is a text that names it, at the first look and later; when it is over the log is there, once."""
    bucket = s3.bucket()
    admin, store = store_on(s3.url, bucket, tmp_path), store_on(proxy.url, bucket, tmp_path, "reader")
    text = lines(100)
    admin.create(LOG, text)
    for fault, sign in FAULTS:
        page = Follower(lambda: [StoredText(store, LOG, Memory())])
        fault.times = 99
        proxy.faults[:] = [fault]
        look = page.look()
        assert look.page is None
        assert sign in look.trouble
        assert not look.is_at_end
        proxy.faults.clear()
        page.look()
        assert page.text == text.decode()
        fault.times = 99
        proxy.faults[:] = [fault]
        look = page.look()
        assert sign in look.trouble
        assert look.cursor == page.cursor
        proxy.faults.clear()
        assert page.look().is_at_end
        assert page.text == text.decode()


def test_what_is_nowhere_says_where_it_was_looked_for(store: ObjectStore, tmp_path: Path) -> None:
    """Also for who gets a 403 for what is not there, and then it may come."""
    page = Follower(lambda: [StoredText(store, LOG), LocalFile(str(tmp_path / "logs"), LOG)])
    look = page.look()
    assert look.page is None
    assert [line.split(":")[0] for line in look.told][:1] == ["s3"]
    assert f"file {tmp_path}/logs/{LOG} of this machine: there is no such file" in look.told


def test_this_machine_before_the_store(s3: S3Server, tmp_path: Path) -> None:
    """What is not shipped is shown from the file; the page goes on with the store when that has as much."""
    store = store_on(s3.url, s3.bucket(), tmp_path)
    file = tmp_path / "logs" / LOG
    file.parent.mkdir(parents=True)
    local = LocalFile(str(tmp_path / "logs"), LOG)
    page = Follower(lambda: [WithLocalTail(StoredText(store, LOG), local), local])
    file.write_bytes(b"one\ntwo\n")
    assert page.look().where.startswith("file ")
    append(store, b"one\n")
    look = page.look()
    assert (look.where, look.ahead) == (store.url(LOG), 4)
    with file.open("ab") as more:
        more.write(b"three\n")
    assert page.look().ahead == 10
    append(store, b"two\nthree\n")
    assert page.look().ahead == 0
    assert page.text == "one\ntwo\nthree\n"
    assert not any(look.begins_anew for look in page.looks)


def test_a_task_that_went_on_on_another_machine(s3: S3Server, tmp_path: Path) -> None:
    """The file here is of the first part alone: it is not taken for what follows the stored text."""
    store = store_on(s3.url, s3.bucket(), tmp_path)
    file = tmp_path / "logs" / LOG
    file.parent.mkdir(parents=True)
    file.write_bytes(b"here one\nhere two\nhere three\n")
    local = LocalFile(str(tmp_path / "logs"), LOG)
    page = Follower(lambda: [WithLocalTail(StoredText(store, LOG), local), local])
    page.look()
    append(store, b"there one\n")
    assert page.look().where.startswith("file ")
    append(store, b"there two\nthere three\n")
    look = page.look()
    assert look.begins_anew
    assert page.text == "there one\nthere two\nthere three\n"


def test_who_is_far_behind_begins_anew(s3: S3Server, tmp_path: Path) -> None:
    """Rather than to ask for thousands of pages; what is between can be asked for."""
    store = store_on(s3.url, s3.bucket(), tmp_path)
    append(store, b"begin\n")
    page = Follower(lambda: [StoredText(store, LOG)])
    page.look()
    text = lines(20_000)
    assert len(text) > reader._FAR_BEHIND
    append(store, text)
    assert page.look().begins_anew
    page.go_up()
    assert page.text == "begin\n" + text.decode()


def test_a_log_that_is_replaced_by_a_shorter_one(s3: S3Server, tmp_path: Path) -> None:
    """As somebody does who deletes logs: the page shows what there is."""
    store = store_on(s3.url, s3.bucket(), tmp_path)
    append(store, b"old one\n", b"old two\n")
    page = Follower(lambda: [StoredText(store, LOG)])
    page.look()
    store.delete([segment(LOG, 0), segment(LOG, 8)])
    store.create(LOG, b"new\n")
    page.look()
    page.look()
    assert page.text == "new\n"
    with pytest.raises(NotThere):
        StoredText(store, "none.log").size()
    with pytest.raises(Unreadable):
        StoredText(store, LOG).read(2, 99)
    assert "shorter" in Reader([StoredText(store, LOG)]).before("s3", 99).trouble
