"""Relays of TCP connections that can be cut as a network is: nothing arrives, and nobody is told.

What is sent meanwhile is kept, as the sender's kernel would keep it, and new connections hang, since the kernel
drops their first packet. When the network is back, what was kept arrives; or, after a long time away, what was
connected turns out to be broken.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from harness.processes import wait_for

_PIECE = 1 << 16


class _Connection:
    """A connection that is passed on, with its two ends."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far, self.broken = near, far, False

    def give_up(self) -> None:
        """Have both ends broken as soon as their threads get to it."""
        self.broken = True
        for end in (self.near, self.far):
            try:
                # Wakes whoever reads, and sends nothing.
                end.shutdown(socket.SHUT_RD)
            except OSError:
                continue

    def reset(self) -> None:
        for end in (self.near, self.far):
            try:
                # Zero seconds of lingering: RST instead of FIN.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                continue
            end.close()


class Relay:
    """Passes the connections to a port of its own on to another one of the loopback."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[_Connection] = []
        self._in_the_way: list[socket.socket] = []
        # What has to be set for requests, and for answers, to pass.
        self._whole, self._answers = threading.Event(), threading.Event()
        self._accepting, self._closed = threading.Event(), threading.Event()
        self.restore()
        threading.Thread(target=self._accept, daemon=True).start()

    def through(self, url: str) -> str:
        """Give an address of the target as one that leads through here."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    def hold_answers(self) -> None:
        """Let what is asked through, and keep what is answered until the network is restored."""
        self._answers.clear()

    def cut(self) -> None:
        """Cut what is connected, and what tries to be."""
        self._whole.clear()
        wait_for("the relay", lambda: not self._accepting.is_set(), 5, interval=0.01)
        # While more wait than the queue is long, the kernel drops the packets of those that come.
        self._listener.listen(0)
        for _ in range(2):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
            self._in_the_way.append(one)

    def restore(self, *, broken: bool = False) -> None:
        """Bring the network back; with `broken`, whatever was connected before is reset."""
        while self._in_the_way:
            self._in_the_way.pop().close()
        for connection in self._connections if broken else ():
            connection.give_up()
        self._listener.listen(128)
        self._answers.set()
        self._whole.set()

    def close(self) -> None:
        self._closed.set()
        self.restore(broken=True)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if not self._whole.is_set():
                self._accepting.clear()
                self._whole.wait()
            self._accepting.set()
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        near.settimeout(None)
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            near.close()
            return
        connection = _Connection(near, far)
        self._connections.append(connection)
        asking = threading.Thread(target=self._pass, args=(connection, near, far), daemon=True)
        asking.start()
        self._pass(connection, far, near, self._answers)
        asking.join()
        self._connections.remove(connection)
        near.close()
        far.close()

    def _pass(
        self, connection: _Connection, source: socket.socket, sink: socket.socket, *gates: threading.Event
    ) -> None:
        while True:
            try:
                piece = source.recv(_PIECE)
            except OSError:
                connection.broken, piece = True, b""
            for gate in (self._whole, *gates):
                gate.wait()
            try:
                if connection.broken:
                    return connection.reset()
                if not piece:
                    return sink.shutdown(socket.SHUT_WR)
                sink.sendall(piece)
            except OSError:
                connection.give_up()


@contextmanager
def relay_to(target: int) -> Iterator[Relay]:
    """A relay that is closed at the end of the block."""
    relay = Relay(target)
    try:
        yield relay
    finally:
        relay.close()


@dataclass
class Network:
    """All that a machine reaches others by, or is reached by: cut and restored as one."""

    stack: ExitStack
    relays: list[Relay] = field(default_factory=list)

    def relay(self, url: str) -> tuple[Relay, str]:
        """Give a relay to an address of the loopback, and the address that leads through it."""
        port = urlsplit(url).port
        assert port is not None
        relay = self.stack.enter_context(relay_to(port))
        self.relays.append(relay)
        return relay, relay.through(url)

    def through(self, url: str) -> str:
        return self.relay(url)[1]

    def cut(self) -> None:
        for relay in self.relays:
            relay.cut()

    def restore(self, *, broken: bool = False) -> None:
        for relay in self.relays:
            relay.restore(broken=broken)
