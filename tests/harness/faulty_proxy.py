"""A proxy between a client and an S3 server that fails as networks and stores do.

Requests pass unchanged, the Host header included, or signatures would break.
"""

from __future__ import annotations

import http.client
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from harness.session_tokens import Refused, without_token

_OWN = ("connection", "transfer-encoding", "content-length", "keep-alive")


@dataclass
class Fault:
    """What happens to the next `times` requests of a method whose path has `path` in it.

    kind        what the client meets
    reset       the connection is reset when half of the request's body was read
    lost        the request is carried out, and the connection closed without an answer
    truncated   half of the answer's body, and the connection closed
    stall       no answer until the client gives up
    slow        the answer after `seconds`
    corrupt     the store receives the body with one bit changed
    stored-500  the request is carried out, and the answer is a 500
    page        the answer is a 200 with somebody else's page
    NNN CODE    an answer of this status with this S3 error code, not carried out
    """

    kind: str
    method: str = ""
    path: str = ""
    times: int = 1
    seconds: float = 1.0

    def meets(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and self.path in path


@dataclass
class FaultyProxy:
    """The proxy: `url` to give to a client, `requests` that came, `faults` to come."""

    upstream: str
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    # Rights that the client lacks, as S3 answers without them: "list" and "delete".
    without: frozenset[str] = frozenset()
    # Access keys that were good: what is signed with them is answered with ExpiredToken.
    expired: set[str] = field(default_factory=set)
    # Session tokens by access key, if there are any: each request has to carry one of its key's, signed.
    tokens: dict[str, set[str]] = field(default_factory=dict)
    # Called with method and path before a request is carried out: to hold it, or to act meanwhile.
    before: Callable[[str, str], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, method: str) -> int:
        return sum(one == method for one, _ in self.requests)

    def take(self, method: str, path: str) -> Fault | None:
        """Note a request; the fault that it meets, if any."""
        with self._lock:
            self.requests.append((method, path))
            found = next((fault for fault in self.faults if fault.meets(method, path)), None)
            if found:
                found.times -= 1
            return found

    def wait_until_closed(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def close(self) -> None:
        self._closed.set()


class _Reset(Exception):
    """The connection is to be reset."""


class _Handler(socketserver.StreamRequestHandler):
    proxy: FaultyProxy

    def handle(self) -> None:
        parts = urlsplit(self.proxy.upstream)
        store = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            while self._one(store):
                pass
        except _Reset:
            # Zero seconds of lingering: RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        except OSError:
            pass
        finally:
            store.close()

    def _one(self, store: http.client.HTTPConnection) -> bool:
        """Carry out one request; whether another one may follow."""
        line = self.rfile.readline()
        if not line.strip():
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = list(iter(lambda: self.rfile.readline().decode("latin-1").rstrip("\r\n"), ""))
        pairs = [tuple(header.split(":", 1)) for header in headers]
        length = next((int(value) for name, value in pairs if name.lower() == "content-length"), 0)
        path = unquote(target)
        fault = self.proxy.take(method, path)
        kind = fault.kind if fault else ""
        if kind == "reset":
            self.rfile.read(length // 2)
            raise _Reset
        if any(name.lower() == "expect" for name, _ in pairs):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(length)
        if self.proxy.before is not None:
            self.proxy.before(method, path)
        if kind == "stall":
            self.proxy.wait_until_closed(60)
            return False
        if kind == "slow" and fault:
            time.sleep(fault.seconds)
        if kind == "corrupt" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        if kind == "page":
            self._answer(200, b"<html><body>please log in</body></html>", method)
            return True
        if match := re.fullmatch(r"(\d{3}) (\w+)", kind):
            self._answer(int(match[1]), _error(match[2]), method)
            return True
        signed_with = next((value for name, value in pairs if name.lower() == "authorization"), "")
        if any(f"Credential={key}/" in signed_with for key in self.proxy.expired):
            self._answer(400, _error("ExpiredToken"), method)
            return True
        if self.proxy.tokens:
            try:
                pairs = without_token(method, target, pairs, self.proxy.tokens)
            except Refused as why:
                self._answer(400, _error(str(why)), method)
                return True
        if (refused := self._refused(method, target, body)) is not None:
            self._answer(*refused, method)
            return True
        status, answered, content = _forward(store, method, target, pairs, body)
        if status == 404 and b"<Code>NoSuchKey" in content and "list" in self.proxy.without:
            status, answered, content = 403, [], _error("AccessDenied")
        if kind == "lost":
            return False
        if kind == "stored-500":
            status, answered, content = 500, [], _error("InternalError")
        self._answer(status, content, method, answered, cut=kind == "truncated")
        return kind != "truncated"

    def _refused(self, method: str, target: str, body: bytes) -> tuple[int, bytes] | None:
        """What S3 answers for want of a right, if that is known before it is asked."""
        query = urlsplit(target).query
        if "list" in self.proxy.without and method == "GET" and ("list-type" in query or "uploads" in query):
            return 403, _error("AccessDenied")
        if "delete" in self.proxy.without and method == "DELETE" and "uploadId" not in query:
            return 403, _error("AccessDenied")
        if "delete" in self.proxy.without and method == "POST" and query.startswith("delete"):
            # Several at once are answered with 200, and each key with its error.
            keys = re.findall(rb"<Key>.*?</Key>", body, re.DOTALL)
            errors = b"".join(b"<Error>%s<Code>AccessDenied</Code></Error>" % key for key in keys)
            return 200, b"<DeleteResult>%s</DeleteResult>" % errors
        return None

    def _answer(
        self, status: int, content: bytes, method: str,
        headers: list[tuple[str, str]] | None = None, cut: bool = False,
    ) -> None:  # fmt: skip
        length = next(
            (value for name, value in headers or [] if name.lower() == "content-length"), len(content)
        )
        head = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
        head += [f"{name}: {value}" for name, value in headers or [] if name.lower() not in _OWN]
        head += [f"Content-Length: {length if method == 'HEAD' else len(content)}"]
        write = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
        self.wfile.write(
            write + (b"" if method == "HEAD" else content[: len(content) // 2] if cut else content)
        )


def _forward(
    store: http.client.HTTPConnection, method: str, target: str, headers: list[tuple[str, ...]], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    store.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        if name.lower() not in ("connection", "expect"):
            store.putheader(name, value.strip())
    store.endheaders(body or None)
    answer = store.getresponse()
    content = answer.read()
    return answer.status, answer.getheaders(), content


def _error(code: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>The proxy says {code}</Message></Error>"
    ).encode()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    # Many connections come at once.
    request_queue_size = 128


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy on a free port of the loopback, without faults yet."""
    proxy = FaultyProxy(upstream)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with _Server(("127.0.0.1", 0), handler) as listener:
        proxy.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.close()
            listener.shutdown()
            thread.join()
