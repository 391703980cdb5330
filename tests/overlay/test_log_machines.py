"""Logs of this machine and of a worker: by ranges, with what each place answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from airflow_service.log_reading.on_machines import LocalFile, WorkerFile
from airflow_service.log_reading.source import NotThere, Unreadable
from harness.processes import free_port

LOG = "dag/task/1.log"


class ReleasedServer(SimpleHTTPRequestHandler):
    """A log server of before: it sends the whole file, whatever range is asked for."""

    def do_GET(self) -> None:
        status = self.path.partition("?status=")[2]
        if status:
            self.send_error(int(status))
        elif "/short/" in self.path:
            self.send_response(206)
            self.send_header("Content-Range", "bytes 0-9/100")
            self.end_headers()
            self.wfile.write(b"cut")
        elif "/silent/" in self.path:
            threading.Event().wait(3)
        else:
            super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log" / "dag" / "task").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the folder's log server."""
    monkeypatch.setenv("AIRFLOW_HOME", str(folder))
    monkeypatch.setenv("AIRFLOW__WEBSERVER__SECRET_KEY", "a key that all nodes share")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(ReleasedServer, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/log/"
        running.shutdown()
        thread.join()


def test_a_local_file(folder: Path) -> None:
    """Its bytes, by ranges; no link is followed out of the folder, and no step leads there."""
    (folder / "log" / LOG).write_bytes(b"one\ntwo\n")
    source = LocalFile(str(folder / "log"), LOG)
    assert (source.size(), source.read(2, 6), source.read(3, 3)) == (8, b"e\ntw", b"")
    with pytest.raises(Unreadable, match="shorter"):
        source.read(2, 20)
    (folder / "secret").write_text("secret")
    (folder / "log" / "link").symlink_to(folder / "secret")
    (folder / "log" / "out").symlink_to(folder)
    for name in ("../secret", "dag/../../secret", "none", "dag", "dag/task/1.log/2"):
        with pytest.raises(NotThere):
            LocalFile(str(folder / "log"), name).size()
    for name in ("link", "out/secret"):
        with pytest.raises((NotThere, Unreadable)):
            LocalFile(str(folder / "log"), name).size()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    """It may be the log: that is not the same as none."""
    (folder / "log" / LOG).touch(mode=0o000)
    with pytest.raises(Unreadable, match="Permission denied"):
        LocalFile(str(folder / "log"), LOG).size()


def test_a_worker_of_the_release(server: str, folder: Path) -> None:
    """It sends all, of which no more is kept than was asked for."""
    text = b"".join(b"line %d\n" % number for number in range(100_000))
    (folder / "log" / LOG).write_bytes(text)
    source = WorkerFile(server + LOG, LOG, 5)
    assert source.size() == len(text)
    assert source.read(500_000, 500_100) == text[500_000:500_100]
    assert source.read(len(text) - 10, len(text)) == text[-10:]
    assert source.read(5, 5) == b""
    with pytest.raises(Unreadable, match="shorter"):
        source.read(len(text) - 10, len(text) + 10)


def test_what_a_worker_answers_instead(server: str) -> None:
    """It is told: that there is no such file, or why nobody knows."""
    with pytest.raises(NotThere, match="404"):
        WorkerFile(server + "none", "none", 5).size()
    for name, reason in [
        ("x?status=500", "it answers 500"),
        ("x?status=403", "secret_key the same on its machine"),
        ("short/x", "shorter than it should be"),
        ("silent/x", "no answer within 0.5 seconds"),
    ]:
        # As part of the URL, not of the name, which would be quoted.
        source = WorkerFile(server + name, "", 0.5)
        with pytest.raises(Unreadable, match=reason):
            source.read(0, 10)
    closed = f"http://127.0.0.1:{free_port()}/log/"
    with pytest.raises(Unreadable, match=r"cannot be reached .*refused"):
        WorkerFile(closed + LOG, LOG, 5).size()
    with pytest.raises(Unreadable, match="cannot be reached"):
        WorkerFile("http://no..such host/log/" + LOG, LOG, 5).size()


def test_a_worker_needs_a_key(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it is not even asked."""
    monkeypatch.setenv("AIRFLOW__WEBSERVER__SECRET_KEY", "temporary_key")
    with pytest.raises(Unreadable, match="secret_key"):
        WorkerFile(server + LOG, LOG, 5).size()
