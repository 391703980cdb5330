"""Carries packets between two network namespaces, each through a line with a delay.

Runs as a process of its own, so that nothing else delays the packets: started by
`network.py` with the tun devices' file descriptors, it ends when its standard
input does, which is when whoever started it has ended, however that was.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.delay import Capacity, Line

# More than any packet of the devices, whose MTU is 1500.
_PACKET = 65536


@dataclass(frozen=True, slots=True)
class Route:
    """One direction: packets read from `source` come out at `target` after the line's delay."""

    source: int
    target: int
    line: Line


def routes(links: Sequence[tuple[int, int, float]], rate: float | None) -> list[Route]:
    """Both directions of each link: the client's device, the server's, and the round-trip time in seconds.

    The rate, in bytes a second and each way, is the client's own: all links share it.
    """
    up, down = (Capacity(rate), Capacity(rate)) if rate else (None, None)
    made = []
    for client, server, round_trip in links:
        made.append(Route(client, server, Line(round_trip / 2, up)))
        made.append(Route(server, client, Line(round_trip / 2, down)))
    return made


def carry(ways: Sequence[Route], control: int) -> None:
    """Carry packets until `control` ends."""
    sources = {way.source: way for way in ways}
    while True:
        times = [when for way in ways if (when := way.line.next_due()) is not None]
        wait = max(0.0, min(times) - time.monotonic()) if times else None
        readable, _, _ = select.select([*sources, control], [], [], wait)
        if control in readable and not os.read(control, 1):
            return
        for source in readable:
            if source in sources:
                _read(sources[source])
        now = time.monotonic()
        for way in ways:
            for packet in way.line.due(now):
                # A device whose queue is full drops the packet, as a network would.
                with contextlib.suppress(BlockingIOError):
                    os.write(way.target, packet)


def _read(way: Route) -> None:
    """Take in all packets that are there, each with its own time."""
    with contextlib.suppress(BlockingIOError):
        while packet := os.read(way.source, _PACKET):
            way.line.push(time.monotonic(), packet)


def main() -> int:
    """Read `{"links": [[client, server, seconds], …], "rate": bytes a second or null}` from the arguments."""
    wanted = json.loads(sys.argv[1])
    # Packets go first: on a busy machine the delay would be the scheduler's otherwise.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    carry(routes([tuple(link) for link in wanted["links"]], wanted["rate"]), sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
