"""A plain CDN origin on loopback that can be stopped, stalled, slowed, broken and started again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote


@dataclass
class Origin:
    """Serves a bundle, laid out as in a wheel, by the CDN's layout.

    `tampered` has a hashed name's other bytes, `status` an answer for everything, `statuses`
    one for all below a path, `pause` seconds before each byte of a body; `stalled` keeps all answers back.
    """

    folder: Path
    port: int = 0
    tampered: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    statuses: dict[str, int] = field(default_factory=dict)
    pause: float = 0
    cors: bool = True
    stalled: bool = False
    asked: list[str] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _released: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the port of before if it was stopped."""
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def do_GET(self) -> None:
                # Whoever asked may have given up.
                with suppress(ConnectionError):
                    origin.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._released.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(handler.path.partition("?")[0])
        self.asked.append(path)
        if self.stalled:
            self._released.wait(60)
            handler.close_connection = True
            return
        content, kind = self.find(path)
        status = next((one for start, one in self.statuses.items() if path.startswith(start)), self.status)
        status = 404 if content is None and status == 200 else status
        body = content if content is not None and status == 200 else b"no"
        etag = f'"{hash(body):x}"'
        if status == 200 and handler.headers.get("If-None-Match") == etag:
            status, body = 304, b""
        self.answered.append(status)
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", etag)
        handler.send_header("Cache-Control", "public, max-age=31536000, immutable")
        if self.cors:
            handler.send_header("Access-Control-Allow-Origin", "*")
        handler.end_headers()
        if not self.pause:
            handler.wfile.write(body)
            return
        for byte in body:
            time.sleep(self.pause)
            handler.wfile.write(bytes([byte]))

    def find(self, path: str) -> tuple[bytes | None, str]:
        """Body and type of a path of the CDN's."""
        manifest = (self.folder / "manifest.json").read_bytes()
        document = json.loads(manifest)
        if path == f"/manifests/{document['version']}.json":
            return self.tampered.get("manifest.json", manifest), "application/json"
        types = {entry["name"]: entry["type"] for entry in document["assets"].values()}
        name = path.removeprefix("/a/")
        if name not in types or path == name:
            return None, "text/plain"
        return self.tampered.get(name, (self.folder / "a" / name).read_bytes()), types[name]


@contextmanager
def serving_origin(folder: Path) -> Iterator[Origin]:
    """An origin that runs, for the time of a test."""
    origin = Origin(folder)
    origin.start()
    try:
        yield origin
    finally:
        origin.stop()
