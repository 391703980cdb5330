"""The stand-in's HTTP server: tokens, faults, throttling, the log of requests, and its control interface."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from stand_in import control, databricks, qubole
from stand_in.answers import Answer, Asked, as_text
from stand_in.commands import Commands
from stand_in.faults import DAMAGE, Fault, Faults
from stand_in.requests_log import Request, RequestsLog

TOKEN = "stand-in-token"
_BODY_LIMIT = 1 << 20


class StandIn(ThreadingHTTPServer):
    """Platforms on one port of the loopback; what it does is decided by its attributes, while it runs.

    `accounts` maps tokens to accounts, which see no commands but their own. With `https` the connections are
    encrypted. `latency` is in seconds, for each answer; `limit` is how many requests a second are not answered
    by 429.
    """

    daemon_threads = True
    # Many clients come at once; the kernel answers for those that wait.
    request_queue_size = 256

    def __init__(
        self, accounts: Mapping[str, str] | None = None, port: int = 0, https: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.accounts = dict(accounts or {TOKEN: "main"})
        self.commands = Commands()
        self.faults = Faults()
        self.requests = RequestsLog()
        self.latency = 0.0
        self.limit: int | None = None
        self.scheme = "https" if https else "http"
        if https:
            self.socket = https.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """Where its UIs are. Qubole's connections have `<url>/api` as their host."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: who asked may give up, as tests make them."""

    def clear(self) -> None:
        """Forget all that was asked and set."""
        self.commands.clear()
        self.faults.clear()
        self.requests.clear()
        self.latency, self.limit = 0.0, None


class _Part(Protocol):
    """What a platform's module has."""

    def token_of(self, headers: Any) -> str | None: ...
    def error(self, status: int) -> Answer: ...
    def answer(self, commands: Commands, asked: Asked, url: str) -> Answer: ...


def _part(path: str) -> _Part:
    return qubole if qubole.takes(path) else databricks


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn
    timeout = 30

    def do_GET(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            self._do()

    do_POST = do_PUT = do_DELETE = do_GET

    def _do(self) -> None:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        content = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _BODY_LIMIT))
        try:
            body = json.loads(content) if content else None
        except ValueError:
            body = content.decode("utf-8", "replace")
        if address.path.startswith(control.PATH):
            self._send(control.answer(self.server, Asked(self.command, address.path, query, body, "")))
        elif qubole.takes(address.path) or databricks.takes(address.path):
            self._platform(address.path, query, body)
        else:
            asked = Asked(self.command, address.path, query, body, "")
            pages = (part.page(self.server.commands, asked) for part in (qubole, databricks))
            self._send(next(filter(None, pages), as_text("no such page", status=404)))

    def _platform(self, path: str, query: Mapping[str, str], body: object) -> None:
        server = self.server
        account = server.accounts.get(_part(path).token_of(self.headers) or "", "")
        request = Request(self.command, path, account, body, query)
        server.requests.add(request)
        asked = Asked(self.command, path, query, body, account)
        fault = server.faults.take(asked.method, path, account)
        time.sleep(server.latency + (fault.delay if fault and fault.kind != "stalled" else 0))
        try:
            answer = self._answer(asked, fault)
            if answer is not None:
                request.status = answer.status
                self._send(answer, fault if fault and fault.kind in DAMAGE else None)
            else:
                self.close_connection = True
        finally:
            request.seconds = time.monotonic() - request.began

    def _answer(self, asked: Asked, fault: Fault | None) -> Answer | None:
        """Carry a request out, as far as its fault lets it."""
        server, part = self.server, _part(asked.path)
        wrong = fault is not None and fault.kind not in ("slow", *DAMAGE)
        if wrong and fault is not None and not fault.effect:
            return self._wrong(fault, part)
        if server.limit is not None and server.requests.last_seconds(1) > server.limit:
            return part.error(429)
        if not asked.account:
            return part.error(401)
        done = part.answer(server.commands, asked, server.url)
        return self._wrong(fault, part) if wrong and fault is not None else done

    def _wrong(self, fault: Fault, part: _Part) -> Answer | None:
        if fault.kind == "html":
            return as_text("<!doctype html><title>Proxy</title><h1>Please log in</h1>", "text/html")
        if fault.kind == "redirect":
            return Answer(302, b"", headers={"Location": fault.location})
        return None if fault.kind == "nothing" else part.error(fault.status)

    def _send(self, answer: Answer, damage: Fault | None = None) -> None:
        kind = damage.kind if damage else ""
        content = answer.content[: len(answer.content) // 2] if kind == "truncated" else answer.content
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if kind == "undecodable":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if damage and kind in ("broken", "stalled"):
            content = self._begun(content, damage)
        self.wfile.write(content)

    def _begun(self, content: bytes, damage: Fault) -> bytes:
        """Send the first half of an answer; what is left to be sent."""
        half = len(content) // 2
        self.wfile.write(content[:half])
        if damage.kind == "broken":
            self.close_connection = True
            return b""
        time.sleep(damage.delay)
        return content[half:]

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: the log of requests has it."""


@contextmanager
def serving(
    accounts: Mapping[str, str] | None = None, port: int = 0, https: ssl.SSLContext | None = None
) -> Iterator[StandIn]:
    """Run a stand-in in a thread of this process."""
    server = StandIn(accounts, port, https)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
