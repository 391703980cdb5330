"""Much that is added at once, straight to the final object: once, whoever else writes and whoever dies."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from airflow_service.log_chain import Chain, Writer, segment
from airflow_service.log_chain.merging import new_id
from airflow_service.object_store import ObjectStore, StoreError, Unreachable
from harness.faulty_proxy import Fault, FaultyProxy
from harness.log_store import store_on
from harness.s3 import S3Server
from harness.shipping import LOG, MB, text

pytestmark = pytest.mark.slow


def extend(writer: Writer, body: bytes, at: int, piece: str = "", moved: list[int] | None = None) -> int:
    note = [] if moved is None else moved
    return writer.extend(
        len(body), piece or new_id(), at, lambda start, end: body[start:end], None, note.append
    )


def until_it_is_there(writer: Writer, body: bytes, at: int, *, at_once: bool) -> int:
    """Add a piece as a shipper does, which repeats it where others are faster."""
    piece = new_id()
    for _ in range(50):
        moved = [at]
        with suppress(Unreachable):
            if at_once:
                return extend(writer, body, at, piece, moved)
            return writer.append(body, piece, at, moved=moved.append)
        at = moved[-1]
    raise AssertionError("others were faster, fifty times over")


def names(store: ObjectStore) -> list[str]:
    return [one.name for one in store.list(LOG)]


@pytest.mark.parametrize("size", [10, 9 * MB])
def test_behind_what_is_there(store: ObjectStore, size: int) -> None:
    """It follows the final object and the segments, which it takes in; small and large ones alike."""
    body = random.Random(1).randbytes(size)
    writer = Writer(store, LOG)
    assert extend(writer, body, 0) == 0
    writer.append(b"one\n", new_id(), size)
    writer.append(b"two\n", new_id(), size + 4)
    assert extend(writer, b"three\n", 0) == size + 8
    assert store.read(LOG) == body + b"one\ntwo\nthree\n"
    assert names(store) == [LOG]
    assert writer.append(b"four\n", new_id(), size + 14) == size + 14


def test_what_repeats_changes_nothing(store: ObjectStore, proxy: FaultyProxy) -> None:
    """The same piece once more, at the same place, is in the text already: by its id, or by its bytes."""
    body = b"one\n" * 1000
    assert extend(Writer(store, LOG), body, 0, "piece") == 0
    assert extend(Writer(store, LOG), body, 0, "piece") == 0
    writer = Writer(store, LOG)
    for number in range(20):
        writer.append(b"%02d\n" % number, new_id(), 4000 + 3 * number)
        writer.merge()
    assert extend(Writer(store, LOG), body, 0, "piece") == 0
    assert len(text(store)) == 4060
    assert names(store) == [LOG]
    # The same bytes as another piece are added.
    assert extend(Writer(store, LOG), body, 4060, "other") == 4060


def test_the_text_ends_where_it_is_closed(store: ObjectStore) -> None:
    """Whoever died left an empty segment: readers end there, a merge does, and others extend the text."""
    one = Writer(store, LOG)
    one.append(b"one\n", new_id(), 0)
    store.create(segment(LOG, 4), b"")
    assert text(store) == b"one\n"
    assert Chain(store, LOG).end() == 4
    two = Writer(store, LOG)
    moved: list[int] = []
    assert two.append(b"two\n", "two", 0, moved=moved.append) == 4
    assert moved == [4]
    assert two.append(b"two\n", "two", 4) == 4
    assert store.read(LOG) == b"one\ntwo\n"
    assert Writer(store, LOG).merge() == 8
    assert two.append(b"three\n", new_id(), 8) == 8
    store.create(segment(LOG, 14), b"")
    assert one.merge() == 14
    assert extend(two, b"four\n", 8) == 14
    assert store.read(LOG) == b"one\ntwo\nthree\nfour\n"
    assert names(store) == [LOG]


def test_a_left_over_where_it_was(store: ObjectStore) -> None:
    """A piece that is in the final object is not added again, though somebody late has a segment at its place."""
    store.create(LOG, b"one\ntwo\n", {"merged": "one,two"})
    store.create(segment(LOG, 0), b"late\n", {"put": "late"})
    assert extend(Writer(store, LOG), b"one\n", 0, "one") == 0
    assert text(store) == b"one\ntwo\n"
    assert store.read(segment(LOG, 0)) == b"late\n"


def test_segments_that_go_while_they_are_copied(store: ObjectStore, proxy: FaultyProxy) -> None:
    """Another one has merged them: that is looked at again, and no failure."""
    writer = Writer(store, LOG)
    one, two = random.Random(4).randbytes(6 * MB), random.Random(5).randbytes(6 * MB)
    writer.append(one, new_id(), 0)
    done = []

    def before(method: str, path: str) -> None:
        if method == "PUT" and "partNumber" in path and not done:
            done.append(path)
            Writer(store, LOG).merge()

    proxy.before = before
    assert extend(writer, two, len(one)) == len(one)
    assert done
    assert store.read(LOG) == one + two
    assert names(store) == [LOG]


@pytest.mark.parametrize("what", ["append", "merge", "extend"])
def test_somebody_else_meanwhile(store: ObjectStore, proxy: FaultyProxy, what: str, thorough: bool) -> None:
    """Before each of its requests another one appends, merges or extends: both are in the text."""
    acting = threading.local()
    others = []

    def act(method: str, path: str) -> None:
        # One at a time, and not because of its own requests.
        if getattr(acting, "now", False) or not lock.acquire(blocking=False):
            return
        try:
            proxy.before = None
            other = Writer(store, LOG)
            if what == "merge":
                other.merge()
            else:
                line = b"%03d\n" % len(others)
                if what == "append":
                    other.append(line, new_id(), other.end())
                else:
                    extend(other, line, other.end())
                others.append(line)
        finally:
            lock.release()

    lock = threading.Lock()
    for skipped in range(9):
        whole = text(store)
        body = random.Random(2).randbytes(9 * MB if thorough or skipped in (4, 7) else 1000)
        left = skipped

        def before(method: str, path: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                act(method, path)

        count = len(others)
        writer = Writer(store, LOG)
        at = len(whole)
        if skipped % 2:
            at = writer.append(b"mine\n", new_id(), at) + 5
            whole += b"mine\n"
        proxy.before = before
        extend(writer, body, at)
        proxy.before = None
        found = text(store)
        assert found.startswith(whole)
        rest = found[len(whole) :]
        assert rest.count(body) == 1
        assert rest.replace(body, b"") == b"".join(others[count:])
        store.delete(names(store))


@pytest.mark.parametrize(
    "fault",
    [
        "reset", "lost", "stored-500", "403 AccessDenied",
        *(
            pytest.param(fault, marks=pytest.mark.thorough)
            for fault in ("truncated", "corrupt", "500 InternalError", "503 SlowDown")
        ),
    ],
)
def test_faults(store: ObjectStore, proxy: FaultyProxy, fault: str) -> None:
    """Whatever request fails, and however often: who repeats the piece has it in the text once."""
    for number, (method, times) in enumerate([("PUT", 1), ("POST", 1), ("POST", 9), ("GET", 4), ("PUT", 9)]):
        # In parts where these are asked for by POST.
        body = random.Random(3).randbytes(9 * MB if method == "POST" else 1000)
        piece, at = f"piece-{number}", 0
        moved: list[int] = []
        writer = Writer(store, LOG)
        proxy.faults.append(Fault(fault, method, times=times))
        for turn in range(3):
            try:
                extend(writer, body, at, piece, moved)
                break
            except StoreError:
                at = moved[-1] if moved else at
                if turn:
                    proxy.faults.clear()
        else:
            raise AssertionError("it fails without faults, too")
        proxy.faults.clear()
        assert text(store) == body
        store.delete(names(store))


def test_many_at_once(s3: S3Server, tmp_path: Path) -> None:
    """Some append, some extend, some merge: every line is there once, each writer's in order."""
    bucket = s3.bucket()
    errors: list[BaseException] = []

    stores = [store_on(s3.url, bucket, tmp_path) for _ in range(5)]

    def write(number: int) -> None:
        try:
            writer, at = Writer(stores[number], LOG), 0
            for line in range(12):
                body = b"%d/%03d\n" % (number, line)
                at_once = not (line + number) % 3
                at = until_it_is_there(writer, body, at, at_once=at_once) + len(body)
                if line % 5 == number:
                    writer.merge()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    store = stores[4]
    Writer(store, LOG).merge()
    lines = (store.read(LOG) or b"").split()
    for number in range(4):
        mine = [line for line in lines if line.startswith(b"%d/" % number)]
        assert mine == [b"%d/%03d" % (number, line) for line in range(12)]
    assert len(lines) == 48
