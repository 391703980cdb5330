"""A server of a gateway's keys on the loopback, which can be everything that such a server should not be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class KeyServer:
    """Answers with `body()` and `status`; a path of `paths` has a body of its own."""

    body: Callable[[], bytes]
    paths: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0
    """Seconds before the answer, and between two bytes if `drips`."""
    drips: bool = False
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if not self.drips:
            time.sleep(self.pause)
        found = self.paths.get(handler.path) if self.paths else self.body()
        handler.send_response(self.status if found is not None else 404)
        for name, value in {"Content-Type": self.content_type, **self.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(found or b"")))
        handler.end_headers()
        if not self.drips:
            handler.wfile.write(found or b"")
        for byte in found or b"" if self.drips else b"":
            handler.wfile.write(bytes([byte]))
            time.sleep(self.pause)


def keys_of(gateway: Any) -> Callable[[], bytes]:
    """What a gateway publishes at the time of a request."""
    return lambda: json.dumps(gateway.key_set()).encode()


@contextmanager
def serving_keys(body: Callable[[], bytes], **more: Any) -> Iterator[KeyServer]:
    """A running server; it ends with the block."""
    server = KeyServer(body, **more)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # whoever asked may have given up
                server.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.port = listening.server_address[1]
    Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
