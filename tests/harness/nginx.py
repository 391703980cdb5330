"""A real nginx in front of servers that tell what reached them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.processes import Running, listens, running, wait_for
from harness.servers import program

# All that an nginx needs of its own, so that it touches nothing of the machine's.
_MAIN = """\
{user}daemon off;
worker_processes 1;
worker_rlimit_nofile 1024;
pid {folder}/pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {included};
}}
"""


def write_main(folder: Path, included: Path) -> Path:
    """A complete configuration around a file for the `http` context."""
    user = "user root;\n" if os.geteuid() == 0 else ""
    main = folder / "nginx.conf"
    main.write_text(_MAIN.format(user=user, folder=folder, included=included))
    return main


def syntax_errors(main: Path) -> str:
    """What `nginx -t` complains of; "" if it is content, without a warning."""
    done = subprocess.run(
        [program("nginx"), "-t", "-q", "-c", str(main), "-p", str(main.parent)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stderr + ("" if done.returncode == 0 else f"\nended with {done.returncode}")


@contextmanager
def nginx(folder: Path, included: Path, port: int) -> Iterator[Running]:
    """A running nginx that listens on `port`."""
    main = write_main(folder, included)
    with running([program("nginx"), "-c", main, "-p", folder], folder / "nginx.log") as process:
        wait_for("nginx", lambda: listens(port), 30, process)
        yield process


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._echo_bytes()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = {
            "server": self.server.name,
            "line": self.requestline,
            "headers": [[name, value] for name, value in self.headers.items()],
            "body": len(body),
            "connection": self.client_address[1],
            "padding": "x" * 5000,
        }
        content = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def _echo_bytes(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "upgrade")
        self.end_headers()
        while received := self.connection.recv(1000):
            self.connection.sendall(received.upper())
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


class Echo(ThreadingHTTPServer):
    """An HTTP server that answers with what it was asked, as JSON."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.name = name

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def echo(name: str) -> Iterator[Echo]:
    """A running echo server."""
    server = Echo(name)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def send(port: int, request: bytes, timeout: float = 10) -> bytes:
    """What comes back for raw bytes until the connection ends, or nothing comes for `timeout` seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received
