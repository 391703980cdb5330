"""A control plane that lets in by the cookie, and remembers what it was asked."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ControlPlane

    def do_GET(self) -> None:
        self.server.asked.append((self.requestline, dict(self.headers.items())))
        cookie = self.headers.get("Cookie", "")
        path = re.sub("/+", "/", self.path.partition("?")[0]).rstrip("/")
        if path == "/oauth2/auth":
            known = "_oauth2_proxy=" in cookie
            self._answer(202 if known else 401, Authorization="Bearer head.body.signature" if known else "")
        elif path != "/auth":
            self._answer(200, json.dumps({"page": self.path, "headers": dict(self.headers.items())}).encode())
        elif "airflow_gateway=broken" in cookie:
            self._answer(500)
        elif "airflow_gateway=none" in cookie or ("=user" in cookie and "least=admin" in self.path):
            self._answer(403)
        elif "airflow_gateway=" in cookie:
            self._answer(204, **{"X-Airflow-Assertion": "head.body.signature"})
        else:
            self._answer(401)

    do_POST = do_GET

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


class ControlPlane(ThreadingHTTPServer):
    """Lets `airflow_gateway=admin` and `=user` in; `none` has no role, and `broken` breaks it.

    Below `/oauth2` it is as oauth2-proxy: it knows who is logged in, and nothing of clusters and roles.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """A running one."""
    server = ControlPlane()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
