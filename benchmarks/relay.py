"""Delays what passes through sockets of the loopback, where namespaces cannot be had.

Weaker than the bridge: there is no slow start, and the browser thinks itself
connected at once. So the handshake is counted here: the first byte of a
connection leaves one round trip after it was opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sys
from collections.abc import Sequence

from benchmarks.delay import Capacity, Line

# As much as a packet holds: bigger pieces would let a small answer wait for a big one.
_PIECE = 1460


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line, ready: float
) -> None:
    """Pass a stream on through a line; nothing enters it before the time `ready`."""
    clock = asyncio.get_running_loop().time
    arrived, ended = asyncio.Event(), False

    async def take_in() -> None:
        nonlocal ended
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(_PIECE):
                line.push(max(clock(), ready), piece)
                arrived.set()
        ended = True
        arrived.set()

    taking = asyncio.create_task(take_in())
    try:
        while not ended or line.next_due() is not None:
            when = line.next_due()
            if when is None:
                await arrived.wait()
                arrived.clear()
                continue
            await asyncio.sleep(max(0.0, when - clock()))
            for piece in line.due(clock()):
                writer.write(piece)
            await writer.drain()
    except ConnectionError:
        taking.cancel()
    finally:
        writer.close()


async def _serve(links: Sequence[tuple[int, int, float]], rate: float | None) -> None:
    """Relay each link's port to its target port, until the standard input ends."""
    up, down = (Capacity(rate), Capacity(rate)) if rate else (None, None)
    clock = asyncio.get_running_loop().time

    def handler(target: int, round_trip: float):  # type: ignore[no-untyped-def]
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ready = clock() + round_trip
            try:
                answers, questions = await asyncio.open_connection("127.0.0.1", target)
            except OSError:
                writer.close()
                return
            # A stream may lose nothing: whatever does not fit waits.
            await asyncio.gather(
                _forward(reader, questions, Line(round_trip / 2, up, math.inf), ready),
                _forward(answers, writer, Line(round_trip / 2, down, math.inf), 0.0),
            )

        return connected

    for port, target, round_trip in links:
        await asyncio.start_server(handler(target, round_trip), "127.0.0.1", port)
    await asyncio.to_thread(sys.stdin.read)
    # Connections that are still open have nothing to say any more.
    os._exit(0)


def main() -> int:
    """Read `{"links": [[port, target port, seconds], …], "rate": bytes a second or null}`."""
    wanted = json.loads(sys.argv[1])
    asyncio.run(_serve([tuple(link) for link in wanted["links"]], wanted["rate"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
