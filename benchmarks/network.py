"""The ways from a browser to the servers, each with a round-trip time of its own.

With root and /dev/net/tun it is real TCP between two network namespaces
(handshakes, slow start), through `bridge.py`; else `relay.py` delays what passes
through sockets of the loopback. Nothing of it can reach another machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread

from benchmarks.namespaces import inside, new_device, new_namespace

_ROOT = Path(__file__).resolve().parent.parent
# Addresses for documentation (RFC 5737): one network a way.
_NETWORKS = ("198.51.100", "192.0.2", "203.0.113")

Address = tuple[str, int]
Side = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Network:
    """Where servers listen and how the browser reaches them, by the names of the ways.

    What is started in `with client():` is at the browser's end, in `with server():` at the other.
    """

    kind: str
    listen: Mapping[str, Address]
    reach: Mapping[str, Address]
    client: Side
    server: Side

    def url(self, way: str) -> str:
        host, port = self.reach[way]
        return f"http://{host}" if port == 80 else f"http://{host}:{port}"

    def round_trip(self, way: str, asks: int = 5) -> float:
        """Seconds of a round trip as it is: half of connecting and having one byte echoed, the median."""
        with self.server():
            listener = socket.create_server(self.listen[way])
        with listener:
            Thread(target=_echo, args=(listener,), daemon=True).start()
            # The first may meet a bridge that has not begun yet.
            times = [self._ask(way) for _ in range(asks + 1)][1:]
            # Ends the thread; closing alone would leave it waiting.
            listener.shutdown(socket.SHUT_RDWR)
        return statistics.median(times) / 2

    def _ask(self, way: str) -> float:
        begun = time.monotonic()
        with self.client():
            connection = socket.create_connection(self.reach[way], timeout=10)
        with connection:
            connection.sendall(b"?")
            connection.recv(1)
            return time.monotonic() - begun


def _echo(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                # The second call returns when the client has closed: it, not we, keeps the closed connection.
                while byte := connection.recv(1):
                    connection.sendall(byte)


@contextmanager
def network(ways: Mapping[str, float], rate: float | None) -> Iterator[Network]:
    """The ways (names, and round-trip times in seconds), for the time of the block.

    `rate` is the capacity of the browser's own line in bytes a second, each way.
    """
    with ExitStack() as stack:
        try:
            made = _namespaces(stack, ways, rate)
        except OSError as error:
            print(f"no namespaces or no tun devices here ({error}): a relay delays instead", file=sys.stderr)
            made = _relayed(stack, ways, rate)
        yield made


def _namespaces(stack: ExitStack, ways: Mapping[str, float], rate: float | None) -> Network:
    client, server = (_kept(stack, new_namespace()) for _ in range(2))
    addresses: dict[str, Address] = {}
    links: list[tuple[int, int, float]] = []
    devices: list[int] = []
    for (way, seconds), prefix in zip(ways.items(), _NETWORKS, strict=True):
        ends = [f"{prefix}.1", f"{prefix}.2"]
        near = _kept(stack, new_device(client, way, ends[0], ends[1]))
        far = _kept(stack, new_device(server, way, ends[1], ends[0]))
        links.append((near, far, seconds))
        devices += [near, far]
        addresses[way] = (ends[1], 80)
    _start(stack, "bridge", {"links": links, "rate": rate}, devices)
    kind = "TCP between two network namespaces"
    return Network(kind, addresses, addresses, partial(inside, client), partial(inside, server))


def _relayed(stack: ExitStack, ways: Mapping[str, float], rate: float | None) -> Network:
    listen = {way: ("127.0.0.1", _free_port()) for way in ways}
    reach = {way: ("127.0.0.1", _free_port()) for way in ways}
    links = [(reach[way][1], listen[way][1], seconds) for way, seconds in ways.items()]
    _start(stack, "relay", {"links": links, "rate": rate}, [])
    deadline = time.monotonic() + 10
    while not all(_listens(port) for port, _, _ in links):
        if time.monotonic() > deadline:
            raise RuntimeError("the relay does not start")
        time.sleep(0.05)
    return Network("a delaying relay: no slow start, no packets", listen, reach, nullcontext, nullcontext)


def _kept(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _start(stack: ExitStack, module: str, wanted: object, descriptors: list[int]) -> None:
    """Run a module beside this one; it ends with its standard input, and Ctrl-C does not reach it."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", json.dumps(wanted)],
        cwd=_ROOT, stdin=subprocess.PIPE, pass_fds=descriptors, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    stack.callback(process.wait)
    stack.callback(process.stdin.close)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
