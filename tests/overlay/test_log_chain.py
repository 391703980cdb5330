"""Appending and merging: each byte once and in order, whoever else does it and whatever fails."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from airflow_service.log_chain import Piece, Writer, segment, split
from airflow_service.log_chain.building import parts
from airflow_service.log_chain.writing import new_id
from airflow_service.object_store import Denied, ObjectStore, StoreError
from airflow_service.object_store.uploads import LEAST_PART, MOST_COPIED
from harness.faulty_proxy import Fault, FaultyProxy
from harness.log_store import store_on
from harness.s3 import S3Server
from harness.shipping import LOG, MB, add, text
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.slow


def test_append_and_merge(store: ObjectStore, s3: S3Server) -> None:
    """Segments are one text, at the same offsets before and after a merge, and then one object."""
    writer = Writer(store, LOG)
    assert writer.extent() == []
    add(writer, b"one\n", b"two\n")
    assert [(one.start, one.length) for one in writer.extent()] == [(0, 4), (4, 4)]
    assert writer.read(2, 6) == b"e\ntw"
    assert writer.merge() == 8
    add(writer, b"three\n")
    assert text(store) == b"one\ntwo\nthree\n"
    assert writer.merge() == 14
    assert writer.merge() == 14
    assert s3.objects(store.location.bucket) == {f"logs/{LOG}": b"one\ntwo\nthree\n"}


def test_a_log_of_the_release(store: ObjectStore) -> None:
    """What is there already stays, and what follows is added to it."""
    store.create(LOG, b"old\n")
    writer = Writer(store, LOG)
    add(writer, b"new\n")
    assert text(store) == b"old\nnew\n"
    writer.merge()
    assert store.read(LOG) == b"old\nnew\n"


@pytest.mark.parametrize("local", [False, True])
def test_large_logs(store: ObjectStore, s3: S3Server, local: bool) -> None:
    """Large pieces are copied within the store, small ones gathered."""
    chance = random.Random(1)
    writer, whole = Writer(store, LOG), bytearray()

    def on_disk(start: int, end: int) -> bytes:
        return bytes(whole[start:end])

    for sizes in ([8 * MB, 100, 200, 6 * MB, 4 * MB], [3 * MB, 3 * MB, 5]):
        for size in sizes:
            body = chance.randbytes(size)
            add(writer, body)
            whole += body
        assert writer.merge(on_disk if local else None) == len(whole)
    assert s3.objects(store.location.bucket) == {f"logs/{LOG}": bytes(whole)}


@pytest.mark.parametrize(
    "meanwhile",
    [
        "nothing",
        pytest.param("a fault", marks=pytest.mark.thorough),
        "another writer",
        pytest.param("a merge", marks=pytest.mark.thorough),
    ],
)
def test_built_ahead(
    store: ObjectStore,
    proxy: FaultyProxy,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    """Most of a large log is copied before its end; whatever comes between, the text is whole."""
    monkeypatch.setattr("airflow_service.log_chain.merging.WORTH_IT", 10 * MB)
    chance = random.Random(1)
    writer, whole = Writer(store, LOG), b"old\n"
    store.create(LOG, whole)
    for number, size in enumerate([6 * MB, MB, 6 * MB, 3 * MB, 100, 8 * MB, 200]):
        body = chance.randbytes(size)
        assert writer.append(body, new_id(), len(whole)) == len(whole)
        whole += body
        if number == 3 and meanwhile == "a fault":
            proxy.faults.append(Fault("400 Odd", "PUT", "partNumber"))
        if number == 4 and meanwhile == "another writer":
            add(Writer(store, LOG), b"other\n")
            whole += b"other\n"
        if number == 4 and meanwhile == "a merge":
            Writer(store, LOG).merge()
        writer.prepare()
    copied = proxy.count("PUT")
    assert writer.merge() == len(whole)
    if meanwhile == "nothing":
        # What waited and what came last are two parts at most; the rest was there.
        assert proxy.count("PUT") - copied <= 2
    assert s3.objects(store.location.bucket) == {f"logs/{LOG}": whole}
    assert s3.client().list_multipart_uploads(Bucket=store.location.bucket).get("Uploads", []) == []


@given(
    st.lists(st.sampled_from([1, 1000, LEAST_PART - 1, LEAST_PART, LEAST_PART + 1, 8 * MB, MOST_COPIED + 7]))
)
def test_parts(sizes: list[int]) -> None:
    """Parts are the text, cut; none but the last is too small, none too large."""
    pieces, at = [], 0
    for number, size in enumerate(sizes):
        pieces.append(Piece(str(number), at, size))
        at += size
    cut = list(parts(pieces))
    assert all(sum(one.length for one in part) >= LEAST_PART for part in cut[:-1])
    assert all(len(part) == 1 or sum(one.length for one in part) < 16 * MB for part in cut)
    assert all(one.length <= MOST_COPIED for part in cut for one in part)
    spans = [(int(one.name), one.offset, one.start, one.length) for part in cut for one in part if one.length]
    here, objects = 0, {}
    for name, offset, start, length in spans:
        assert (offset, start) == (objects.get(name, 0), here)
        objects[name] = offset + length
        here += length
    assert here == at


def test_another_writer(store: ObjectStore) -> None:
    """Who is late goes on behind the others, and says where before it tries."""
    first, second = Writer(store, LOG), Writer(store, LOG)
    add(first, b"one\n", b"two\n")
    moved: list[int] = []
    assert second.append(b"three\n", new_id(), 0, moved=moved.append) == 8
    assert moved == [8]
    assert text(store) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    "fault",
    [
        "lost",
        "stored-500",
        *(pytest.param(fault, marks=pytest.mark.thorough) for fault in ("reset", "503 SlowDown", "500 InternalError")),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "POST"])
def test_faults(store: ObjectStore, proxy: FaultyProxy, fault: str, method: str) -> None:
    """Whatever one request meets, the text is whole; a repetition of what failed changes nothing."""
    writer = Writer(store, LOG)
    add(writer, b"one\n", b"x" * (9 * MB))
    proxy.faults.append(Fault(fault, method))
    for _ in range(3):
        try:
            writer.append(b"two\n", "second", 4 + 9 * MB)
            break
        except StoreError:
            continue
    proxy.faults.append(Fault(fault, method, times=2))
    for _ in range(3):
        try:
            writer.merge()
        except StoreError:
            continue
    assert store.read(LOG) == b"one\n" + b"x" * (9 * MB) + b"two\n"
    assert list(store.list(f"{LOG}.parts/")) == []


def test_without_the_right_to_list(
    store: ObjectStore, s3: S3Server, tmp_path: Path, proxy: FaultyProxy
) -> None:
    """S3 then answers 403 for what is not there."""
    for _ in range(40):
        proxy.faults.append(Fault("403 AccessDenied", "GET", "list-type", times=1000))
    writer = Writer(store_on(proxy.url, store.location.bucket, tmp_path, "writer"), LOG)
    proxy.faults.append(Fault("403 AccessDenied", "GET", f"{LOG}.parts/{0:020d}"))
    proxy.faults.append(Fault("403 AccessDenied", "GET", LOG, times=2))
    with pytest.raises(Denied):
        writer.end()
    proxy.faults[-1].times = 0
    assert writer.append(b"one\n", new_id(), 0) == 0
    proxy.faults.append(Fault("403 AccessDenied", "GET", LOG))
    assert writer.append(b"two\n", new_id(), 4) == 4
    assert [one.length for one in writer.extent()] == [4, 4]
    assert writer.merge() == 8
    assert text(store) == b"one\ntwo\n"


def test_without_the_right_to_delete(store: ObjectStore, proxy: FaultyProxy) -> None:
    """What is merged stays, and does no harm; nor does what was stored at a place that a merge had freed."""
    proxy.without = frozenset({"delete"})
    first, second = Writer(store, LOG), Writer(store, LOG)
    add(first, b"one\n", b"two\n")
    assert first.merge() == 8
    assert len(list(store.list(f"{LOG}.parts/"))) == 2
    store.create(segment(LOG, 2), b"x", {"put": "of another"})
    assert second.append(b"three\n", new_id(), 1) == 8
    assert second.merge() == 14
    assert store.read(LOG) == b"one\ntwo\nthree\n"


def test_who_may_not_read(store: ObjectStore, proxy: FaultyProxy) -> None:
    """Then nothing is believed to be absent, and nothing is told to be stored."""
    proxy.faults.append(Fault("403 AccessDenied", "GET", times=1000))
    writer = Writer(store, LOG)
    for ask in (writer.end, writer.merge, lambda: writer.append(b"x", new_id(), 0)):
        with pytest.raises(Denied):
            ask()


def test_many_at_once(s3: S3Server, tmp_path: Path) -> None:
    """Writers and mergers of one log at the same time: every piece once, each writer's in order."""
    bucket = s3.bucket()
    stores = [store_on(s3.url, bucket, tmp_path) for _ in range(4)]
    done = threading.Event()

    def write(number: int) -> None:
        writer = Writer(stores[number], LOG)
        at = 0
        for line in range(15):
            body = b"%d:%d\n" % (number, line)
            at = writer.append(body, new_id(), at) + len(body)

    def merge() -> None:
        while not done.is_set():
            Writer(stores[3], LOG).merge()

    merging = threading.Thread(target=merge)
    merging.start()
    writing = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    done.set()
    merging.join()
    Writer(stores[0], LOG).merge()
    lines = s3.objects(bucket)[f"logs/{LOG}"].decode().split()
    for number in range(3):
        assert [one for one in lines if one.startswith(f"{number}:")] == [f"{number}:{n}" for n in range(15)]
    assert len(lines) == 45


def test_names() -> None:
    assert split(segment("a/1.log", 12)) == ("a/1.log", 12)
    assert split("a/1.log") is None
    assert split("a/1.log.parts/12") is None
