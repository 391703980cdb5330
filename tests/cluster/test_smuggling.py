"""Requests that two programs could read differently, through the real nginx to a real gunicorn.

Each is let in for what it seems to be, and carries a second one that was never asked for at the
control plane. It must not reach the application.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow_service.nginx.render import render
from airflow_service.nginx.values import parse_values
from harness.control_plane import control_plane
from harness.nginx import nginx, send
from harness.processes import free_port, listens, running, wait_for
from harness.servers import program

pytestmark = [pytest.mark.slow]

HIDDEN = b"GET /airflow-1/hidden HTTP/1.1\r\nHost: a.test\r\nX-Airflow-Assertion: forged\r\n\r\n"
SIZE = str(len(HIDDEN)).encode()
CHUNK = b"%x" % len(HIDDEN)
END = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
ALL = b"Content-Length: " + str(len(END + HIDDEN)).encode()
# A name for each form; the lines of the head, and what follows it.
FORMS: dict[str, tuple[list[bytes], bytes]] = {
    "CL.TE": ([ALL, CHUNKED], END + HIDDEN),
    "TE.CL": ([CHUNKED, b"Content-Length: 4"], CHUNK + b"\r\n" + HIDDEN + b"\r\n" + END),
    "CL.0": ([b"Content-Length: 0"], b"" + HIDDEN),
    "body that nobody reads": ([b"Content-Length: " + SIZE], HIDDEN),
    "chunks that nobody reads": ([CHUNKED], CHUNK + b"\r\n" + HIDDEN + b"\r\n" + END),
    "two lengths": ([b"Content-Length: 0", b"Content-Length: " + SIZE], HIDDEN),
    "two lengths turned": ([b"Content-Length: " + SIZE, b"Content-Length: 0"], HIDDEN),
    "one length twice": ([b"Content-Length: " + SIZE] * 2, HIDDEN),
    "list of lengths": ([b"Content-Length: 0, " + SIZE], HIDDEN),
    "other lengths": ([b"Content-Length: +0"], HIDDEN),
    "hexadecimal length": ([b"Content-Length: 0x0"], HIDDEN),
    "negative length": ([b"Content-Length: -1"], HIDDEN),
    "two numbers": ([b"Content-Length: 0 " + SIZE], HIDDEN),
    "empty length": ([b"Content-Length:"], HIDDEN),
    "huge length": ([b"Content-Length: 18446744073709551616"], HIDDEN),
    "space before the colon": ([ALL, b"Transfer-Encoding : chunked"], END + HIDDEN),
    "space before the length's colon": ([b"Content-Length : " + SIZE], HIDDEN),
    "underscores": ([b"Content_Length: " + SIZE, b"Transfer_Encoding: chunked"], HIDDEN),
    "tab": ([ALL, b"Transfer-Encoding:\tchunked"], END + HIDDEN),
    "vertical tab": ([ALL, b"Transfer-Encoding: \x0bchunked"], END + HIDDEN),
    "unknown coding": ([ALL, b"Transfer-Encoding: xchunked"], END + HIDDEN),
    "identity": ([ALL, b"Transfer-Encoding: identity"], END + HIDDEN),
    "list of codings": ([ALL, b"Transfer-Encoding: chunked, identity"], END + HIDDEN),
    "coding twice": ([ALL, CHUNKED, b"Transfer-Encoding: identity"], END + HIDDEN),
    "upper case": ([ALL, b"TRANSFER-ENCODING: CHUNKED"], END + HIDDEN),
    "quoted coding": ([ALL, b'Transfer-Encoding: "chunked"'], END + HIDDEN),
    "NUL": ([ALL, b"Transfer-Encoding: chunked\x00"], END + HIDDEN),
    "folded line": ([ALL, b"X: a\r\n Transfer-Encoding: chunked"], END + HIDDEN),
    "folded value": ([ALL, b"Transfer-Encoding:\r\n chunked"], END + HIDDEN),
    "folded first line": ([b" " + CHUNKED, ALL], END + HIDDEN),
    "bare CR": ([ALL, b"X: a\r" + CHUNKED], END + HIDDEN),
    "bare LF": ([ALL, b"X: a\n" + CHUNKED], END + HIDDEN),
    "head that ends with LF": ([b"X: a\n\n" + HIDDEN], b""),
    "head that ends with CR": ([b"X: a\r\r" + HIDDEN], b""),
    "no colon": ([ALL, b"Transfer-Encoding chunked"], END + HIDDEN),
    "colon first": ([ALL, b":" + CHUNKED], END + HIDDEN),
    "extension": ([CHUNKED], b"1;a=\r\nx\r\n" + END + HIDDEN),
    "extension with LF": ([CHUNKED], b"1;\nxx\r\n" + CHUNK + b"\r\n0\r\n\r\n" + HIDDEN + b"\r\n" + END),
    "chunk with LF": ([CHUNKED], b"1\nx\n0\n\n" + HIDDEN),
    "chunk of hexadecimal look": ([CHUNKED], b"0x1\r\nx\r\n" + END + HIDDEN),
    "negative chunk": ([CHUNKED], b"-1\r\n" + HIDDEN),
    "huge chunk": ([CHUNKED], b"ffffffffffffffff1\r\n" + HIDDEN),
    "chunk size with underscore": ([CHUNKED], b"1_0\r\n" + HIDDEN + END),
    "chunk without its end": ([CHUNKED], b"1\r\nxy" + END + HIDDEN),
    "trailer": ([CHUNKED, b"Trailer: X-Airflow-Assertion"], b"0\r\nX-Airflow-Assertion: forged\r\n\r\n"),
    "trailing length": ([CHUNKED], b"0\r\nContent-Length: " + SIZE + b"\r\n\r\n" + HIDDEN),
    "expectation": ([b"Expect: 100-continue", b"Content-Length: " + SIZE], HIDDEN),
    "hop by hop": ([b"Connection: Content-Length, Cookie", b"Content-Length: " + SIZE], HIDDEN),
    "hop by hop assertion": ([b"Connection: keep-alive, X-Airflow-Assertion"], HIDDEN),
    "h2c": (
        [b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAAP__"],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    ),
    "websocket": ([b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"], HIDDEN),
}
LINES = {
    "version twice": b"GET /airflow-1/a HTTP/1.1 HTTP/1.1\r\n",
    "LF in the line": b"GET /airflow-1/a\nX-Airflow-Assertion: forged HTTP/1.1\r\n",
    "CR in the line": b"GET /airflow-1/a\rhidden HTTP/1.1\r\n",
    "encoded CRLF": b"GET /airflow-1/a%0d%0aX-Airflow-Assertion:%20forged%0d%0a HTTP/1.1\r\n",
    "NUL in the line": b"GET /airflow-1/a\x00hidden HTTP/1.1\r\n",
    "old": b"GET /airflow-1/a\r\n",
    "1.0 kept alive": b"POST /airflow-1/a HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
    "no such version": b"GET /airflow-1/a HTTP/1.9\r\n",
    "version 2": b"GET /airflow-1/a HTTP/2.0\r\n",
    "authority": b"GET a.test:80 HTTP/1.1\r\n",
    "absolute": b"GET http://a.test/airflow-1/a HTTP/1.1\r\n",
    "absolute with a user": b"GET http://x@evil.test/airflow-1/a HTTP/1.1\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n",
    "connect": b"CONNECT a.test:80 HTTP/1.1\r\n",
    "space first": b" GET /airflow-1/a HTTP/1.1\r\n",
    "lines first": b"\r\n\r\nGET /airflow-1/a HTTP/1.1\r\n",
    "method of another kind": b"GE\tT /airflow-1/a HTTP/1.1\r\n",
}


@dataclass(frozen=True)
class Stack:
    """The ports of nginx and gunicorn, and the file in which the application writes."""

    nginx: int
    gunicorn: int
    record: Path

    def seen(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def stack(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """nginx keeps its connections to a gunicorn that keeps them, too."""
    program("nginx")
    folder, port, behind = tmp_path_factory.mktemp("smuggling"), free_port(), free_port()
    record = folder / "record"
    record.touch()
    command = [
        installed, "-m", "gunicorn", "--no-control-socket", "--forwarder-headers", "", "--threads", "4",
        "--keep-alive", "5", "--bind", f"127.0.0.1:{behind}", "harness.recording_app",
    ]  # fmt: skip
    environment = {**os.environ, "RECORD": str(record), "PYTHONPATH": str(Path(__file__).parents[1])}
    with control_plane() as plane, running(command, folder / "gunicorn.log", environment) as gunicorn:
        wait_for("gunicorn", lambda: listens(behind), 60, gunicorn)
        table = {
            "listen": [f"127.0.0.1:{port}"],
            "client_timeout_seconds": 1,
            "gateway": {"address": [plane.address], "prefix": "/gateway"},
            "cluster": [{"id": "eu-1", "prefix": "/airflow-1", "webserver": [f"127.0.0.1:{behind}"]}],
        }
        included = folder / "airflow.conf"
        included.write_text(render(parse_values(table, "test")))
        with nginx(folder, included, port):
            yield Stack(port, behind, record)


def requests_of(reading: bool) -> Iterator[bytes]:
    path = b"/airflow-1/read" if reading else b"/airflow-1/ignored"
    own = b"Host: a.test\r\nCookie: airflow_gateway=user\r\n"
    for lines, after in FORMS.values():
        for method in (b"POST", b"GET"):
            yield method + b" " + path + b" HTTP/1.1\r\n" + own + b"\r\n".join(lines) + b"\r\n\r\n" + after
    for line in LINES.values():
        yield line + own + b"\r\n" + HIDDEN


def exchange(port: int, request: bytes) -> None:
    """Send, and wait until nothing comes any more."""
    with suppress(OSError):
        send(port, request, timeout=0.6)


def test_no_second_request_gets_in(stack: Stack) -> None:
    """None of the forms, with methods that have a body and that have none, read or not."""
    sent = [request for reading in (True, False) for request in requests_of(reading)]
    assert len(sent) > 200
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda request: exchange(stack.nginx, request), sent))
    time.sleep(0.5)
    seen = stack.seen()
    # Those that can be read in one way only did arrive, so that this has tried something.
    assert len(seen) > 50
    assert [one for one in seen if "hidden" in one["path"] or one["assertion"] != "head.body.signature"] == []


def test_it_would_be_seen(stack: Stack) -> None:
    """Behind nginx the hidden request is one; before it, one that was asked for gets in."""
    exchange(stack.gunicorn, HIDDEN)
    assert stack.seen()[-1]["path"] == "/airflow-1/hidden"
    own = b"GET /airflow-1/%b HTTP/1.1\r\nHost: a.test\r\nCookie: airflow_gateway=user\r\n\r\n"
    exchange(stack.nginx, own % b"first" + own % b"second")
    assert [one["path"] for one in stack.seen()[-2:]] == ["/airflow-1/first", "/airflow-1/second"]


def test_a_connection_is_one_users(stack: Stack) -> None:
    """What one client left unfinished is not the beginning of the next one's request."""
    unfinished = (
        b"POST /airflow-1/ignored HTTP/1.1\r\nHost: a.test\r\nCookie: airflow_gateway=user\r\n"
        b"Content-Length: 500\r\n\r\nGET /airflow-1/hidden HTTP/1.1\r\nX: "
    )
    before = len(stack.seen())
    with socket.create_connection(("127.0.0.1", stack.nginx), 5) as connection:
        connection.sendall(unfinished)
    answer = send(stack.nginx, b"GET /airflow-1/own HTTP/1.0\r\nCookie: airflow_gateway=user\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert [one["path"] for one in stack.seen()[before:]] == ["/airflow-1/own"]
