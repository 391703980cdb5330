"""The first look at a stored log: few requests, and the text as it is, whatever is merged between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer, segment
from airflow_service.log_chain.writing import new_id
from airflow_service.log_reading import extents
from airflow_service.log_reading.extents import Memory
from airflow_service.log_reading.pages import PAGE
from airflow_service.log_reading.reader import Look, Reader
from airflow_service.log_reading.stored import StoredText
from airflow_service.object_store import ObjectStore
from harness.faulty_proxy import FaultyProxy, faulty_proxy
from harness.log_store import store_on
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"
LINES = b"".join(b"%07d of a log\n" % number for number in range(20_000))
JUNK = b"of a writer that was overtaken\n"


def look_at(store: ObjectStore, memory: Memory | None = None, log: str = LOG) -> Look:
    """As the log page asks for the end."""
    look = Reader([StoredText(store, log, memory or Memory())]).last()
    assert look.page is not None, look.trouble
    return look


def text_of(look: Look) -> bytes:
    assert look.page is not None
    return look.page.data


@pytest.mark.parametrize(("user", "requests"), [("reader", 2), ("writer", 3)])
def test_it_takes_few_requests(s3: S3Server, tmp_path: Path, user: str, requests: int) -> None:
    """A listing and the object's end, which tells its size; who may not list asks for what would be behind it."""
    bucket = s3.bucket()
    admin = store_on(s3.url, bucket, tmp_path)
    with faulty_proxy(s3.url) as proxy:
        store = store_on(proxy.url, bucket, tmp_path, user)
        for length in (len(LINES), PAGE + 1, PAGE, 1500, 1):
            text, log = LINES[-length:], f"{length}.log"
            admin.create(log, text)
            proxy.requests.clear()
            look = look_at(store, log=log)
            assert len(proxy.requests) == requests
            assert (look.size, look.is_at_end) == (len(text), True)
            shown = text_of(look)
            assert min(PAGE, len(text)) - 20 < len(shown) <= PAGE
            assert text == shown or text.endswith(b"\n" + shown)


def between(proxy: FaultyProxy, act: Callable[[], object]) -> None:
    """Act once, after the listing and before the object is read."""

    def before(method: str, path: str) -> None:
        if "list-type" not in path:
            proxy.before = None
            act()

    proxy.before = before


@pytest.mark.parametrize("has_final", [False, True])
def test_a_merge_between_its_requests(s3: S3Server, tmp_path: Path, has_final: bool) -> None:
    """The segments that were listed are gone, one of another writer stands in a freed place: all is there, once."""
    bucket = s3.bucket()
    admin = store_on(s3.url, bucket, tmp_path)
    writer = Writer(admin, LOG)
    for at in range(0, 3000, 1000):
        writer.append(LINES[at : at + 1000], new_id(), at)
        if has_final and not at:
            writer.merge()

    def merge() -> None:
        Writer(admin, LOG).merge()
        admin.create(segment(LOG, 2000), JUNK * 50)

    memory = Memory()
    with faulty_proxy(s3.url) as proxy:
        store = store_on(proxy.url, bucket, tmp_path, "reader")
        between(proxy, merge)
        assert text_of(look_at(store, memory)) == LINES[:3000]
    # The next ones, who know it and who do not, are not misled by what stands there.
    reader = store_on(s3.url, bucket, tmp_path, "reader")
    for known in (memory, Memory()):
        assert text_of(look_at(reader, known)) == LINES[:3000]


def test_segments_that_grow_between_its_requests(s3: S3Server, tmp_path: Path) -> None:
    """What was not there when it was listed is for the next look."""
    bucket = s3.bucket()
    admin = store_on(s3.url, bucket, tmp_path)
    writer = Writer(admin, LOG)
    writer.append(b"one\n", new_id(), 0)
    memory = Memory()
    with faulty_proxy(s3.url) as proxy:
        store = store_on(proxy.url, bucket, tmp_path, "reader")
        between(proxy, lambda: writer.append(b"two\n", new_id(), 4))
        look = look_at(store, memory)
        assert text_of(look) == b"one\n"
        assert look.cursor is not None
        after = Reader([StoredText(store, LOG, memory)]).after(look.cursor, goes_on=True)
        assert text_of(after) == b"two\n"


def test_more_than_a_listing_tells_at_once(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments that nobody might delete may fill the first listing; those behind the object are found all the same."""
    monkeypatch.setattr(extents, "_LISTED", 4)
    admin = store_on(s3.url, s3.bucket(), tmp_path)
    reader = store_on(s3.url, admin.location.bucket, tmp_path, "reader")
    text = LINES[:45]
    for size in (0, 15, 20, 40, 45):
        log = f"{size}.log"
        if size:
            admin.create(log, text[:size])
        for at in range(0, len(text), 5):
            admin.create(segment(log, at), text[at : at + 5] if at >= size else JUNK[:5])
        assert text_of(look_at(reader, log=log)) == text
