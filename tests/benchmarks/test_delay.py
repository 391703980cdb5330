"""The line that holds packets back, told of times that never were."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bridge import routes
from benchmarks.delay import Capacity, Line


def _come_out(line: Line) -> list[tuple[float, bytes]]:
    """All packets of a line, each with the time at which it comes out."""
    found = []
    while (when := line.next_due()) is not None:
        assert list(line.due(math.nextafter(when, -math.inf))) == []
        found += [(when, packet) for packet in line.due(when)]
    return found


def test_a_packet_comes_out_after_the_delay_and_not_before() -> None:
    line = Line(0.15)
    assert line.next_due() is None
    line.push(10.0, b"one")
    line.push(10.1, b"two")
    assert list(line.due(10.1499)) == []
    assert list(line.due(10.15)) == [b"one"]
    assert line.next_due() == pytest.approx(10.25)
    assert list(line.due(99.0)) == [b"two"]
    assert list(line.due(99.0)) == []


def test_packets_that_are_late_come_out_together_in_their_order() -> None:
    line = Line(1.0)
    for number in range(5):
        line.push(float(number), bytes([number]))
    assert list(line.due(3.5)) == [b"\0", b"\1", b"\2"]


def test_a_capacity_spaces_packets_by_their_size() -> None:
    line = Line(0.0, Capacity(1000, burst=0), patience=1.0)
    for _ in range(3):
        line.push(5.0, bytes(100))
    assert [when for when, _ in _come_out(line)] == pytest.approx([5.1, 5.2, 5.3], abs=1e-6)


def test_a_pause_saves_up_the_bucket_and_no_more() -> None:
    line = Line(0.0, Capacity(1000, burst=200))
    for now in (0.0, 100.0):
        for _ in range(4):
            line.push(now, bytes(100))
    # Two leave at once, however long the pause was.
    assert [when for when, _ in _come_out(line)] == pytest.approx(
        [0, 0, 0.1, 0.2, 100, 100, 100.1, 100.2], abs=1e-6
    )


def test_what_would_wait_too_long_is_dropped_and_takes_no_capacity() -> None:
    line = Line(0.0, Capacity(1000, burst=0), patience=0.25)
    taken = [line.push(0.0, bytes(100)) for _ in range(4)]
    assert taken == [True, True, False, False]
    assert line.dropped == 2
    assert line.push(0.1, bytes(100)), "the dropped packets hold their place"


def test_all_links_share_the_clients_capacity_but_not_its_two_directions() -> None:
    ways = routes([(1, 2, 0.0), (3, 4, 0.0)], 1000)
    down = {way.target: way.line for way in ways if way.target in (1, 3)}
    up = {way.target: way.line for way in ways if way.target in (2, 4)}
    for line in (down[1], down[3], up[2]):
        line.push(0.0, bytes(3000))
    # The first takes the whole bucket; the other link's packet has to wait for it.
    assert [line.next_due() for line in (down[1], up[2])] == [0.0, 0.0]
    # It would be longer than a packet may wait.
    assert down[3].next_due() is None


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(20, 1500)), max_size=60),
    st.floats(1e3, 1e7),
    st.floats(0, 1),
)
def test_no_more_leaves_than_the_capacity_and_the_order_stays(
    packets: list[tuple[float, int]], rate: float, delay: float
) -> None:
    line, now, sent = Line(delay, Capacity(rate, burst=3000), patience=math.inf), 0.0, []
    for number, (pause, size) in enumerate(packets):
        now += pause
        packet = number.to_bytes(2, "big") + bytes(size)
        sent.append((now, packet))
        assert line.push(now, packet)
    out = _come_out(line)
    assert [packet for _, packet in out] == [packet for _, packet in sent]
    for (before, _), (after, _) in zip(sent, out, strict=True):
        assert after >= before + delay
    for first in range(len(out)):
        for last in range(first, len(out)):
            size = sum(len(packet) for _, packet in out[first : last + 1])
            assert size <= 3000 + rate * (out[last][0] - out[first][0]) + len(out[first][1]) + 1e-3
