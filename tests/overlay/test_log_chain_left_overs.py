"""Writers that a merge overtakes, and what lies where a merge has freed a segment's place."""

from __future__ import annotations

import pytest
from airflow_service.log_chain import Writer, segment
from airflow_service.log_chain.writing import new_id
from airflow_service.object_store import ObjectStore
from harness.faulty_proxy import FaultyProxy
from harness.shipping import LOG, MB, add, text

pytestmark = pytest.mark.slow


def test_overtaken_by_a_merge(store: ObjectStore, proxy: FaultyProxy) -> None:
    """A name that is free because its segment was merged is not the end."""
    first, second = Writer(store, LOG), Writer(store, LOG)
    add(first, b"one\n")
    first.merge()
    assert second.append(b"two\n", new_id(), 0) == 4
    assert text(store) == b"one\ntwo\n"
    # And while it is being stored.
    at = second.end()
    add(first, b"three\n")

    def merge(method: str, path: str) -> None:
        proxy.before = None
        first.merge()

    proxy.before = merge
    assert second.append(b"four\n", new_id(), at) == 14
    assert second.merge() == len(b"one\ntwo\nthree\nfour\n")
    assert store.read(LOG) == b"one\ntwo\nthree\nfour\n"


@pytest.mark.parametrize("right", ["list", "nothing"])
def test_a_left_over_is_not_taken_for_the_end(store: ObjectStore, proxy: FaultyProxy, right: str) -> None:
    """Between two requests for the end a merge frees a segment's place, and somebody who is late puts another there.

    What would be added behind that one would be no part of the text.
    """
    first, second = Writer(store, LOG), Writer(store, LOG)
    proxy.without = frozenset({right})
    first.append(b"one\n", new_id(), 0)

    def meanwhile(method: str, path: str) -> None:
        if ".parts" in path:
            proxy.before = None
            first.merge()
            store.create(segment(LOG, 0), b"of somebody who is late\n")

    proxy.before = meanwhile
    at = second.end()
    assert proxy.before is None
    assert at == len(b"one\n")
    assert second.append(b"two\n", new_id(), at) == at
    assert text(store) == b"one\ntwo\n"


def test_a_left_over_is_not_read(store: ObjectStore, proxy: FaultyProxy) -> None:
    """Nor is it taken for the segment whose place it has, when that was merged between two requests."""
    first, second = Writer(store, LOG), Writer(store, LOG)
    add(first, b"one\n", b"two\n")
    looks = 0

    def meanwhile(method: str, path: str) -> None:
        nonlocal looks
        looks += path.endswith(segment(LOG, 4))
        if looks:
            proxy.before = None
            first.merge()
            store.create(segment(LOG, 4), b"late\n")

    proxy.before = meanwhile
    assert second.read(2, 8) == b"e\ntwo\n"
    assert looks == 1


def test_taken_in_before_the_writer_looks(store: ObjectStore, proxy: FaultyProxy) -> None:
    """A segment that was merged the moment that it stood is not appended again."""
    first, second = Writer(store, LOG), Writer(store, LOG)
    add(first, b"one\n")

    def merge(method: str, path: str) -> None:
        if method == "GET":
            proxy.before = None
            first.merge()

    second._may_read = True
    proxy.before = merge
    assert second.append(b"two\n", "mine", 4) == 4
    assert store.read(LOG) == b"one\ntwo\n"
    # Nor by who was killed before it knew: by its id, and after many more merges by its bytes.
    assert Writer(store, LOG).append(b"two\n", "mine", 4) == 4
    add(first, *(b"%d\n" % number for number in range(20)))
    first.merge()
    assert Writer(store, LOG).append(b"two\n", "mine", 4) == 4
    assert text(store).count(b"two") == 1


def test_a_left_over_is_no_step(store: ObjectStore) -> None:
    """A segment of a writer that was killed when a merge had overtaken it leads nowhere, whatever its length."""
    first = Writer(store, LOG)
    add(first, b"one\n", b"two\n")
    first.merge()
    store.create(segment(LOG, 0), b"x" * 50, {"put": "of another"})
    assert first.append(b"three\n", new_id(), 0) == 8
    assert first.merge() == 14
    assert store.read(LOG) == b"one\ntwo\nthree\n"


def test_a_left_over_where_a_piece_was(store: ObjectStore) -> None:
    """Whoever was overtaken has a segment there just now: a piece that was merged is not added once more."""
    store.create(LOG, b"one\ntwo\n", {"merged": "one,two"})
    store.create(segment(LOG, 0), b"late\n", {"put": "late"})
    assert Writer(store, LOG).append(b"one\n", "one", 0) == 0
    assert text(store) == b"one\ntwo\n"


def test_segments_that_go_while_they_are_copied(store: ObjectStore, proxy: FaultyProxy) -> None:
    """Another one has merged them: that is looked at again, and no failure."""
    writer = Writer(store, LOG)
    add(writer, b"1" * 6 * MB, b"2" * 6 * MB)

    def before(method: str, path: str) -> None:
        if "partNumber" in path:
            proxy.before = None
            Writer(store, LOG).merge()

    proxy.before = before
    assert writer.merge() == 12 * MB
    assert proxy.before is None
    assert store.read(LOG) == b"1" * 6 * MB + b"2" * 6 * MB
