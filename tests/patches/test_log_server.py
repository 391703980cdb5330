"""`airflow serve_logs`, and the webserver that reads from it, as processes and over HTTP."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from airflow_process import PatchedAirflow
from harness.log_tokens import allowed
from harness.processes import Running, free_port, listens, running, wait_for

KEY = "a key that all nodes share"
NAME = "pair/first/2026-01-01T00:00:00+00:00/1.log"
# The webserver's part, on a machine that lacks the file.
_READ = """
import datetime, json, types
from airflow.utils.log.file_task_handler import FileTaskHandler
handler = FileTaskHandler("/nowhere", "{dag_id}/{task_id}/{execution_date}/{try_number}.log")
day = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
ti = types.SimpleNamespace(dag_id="pair", task_id="first", execution_date=day, hostname="127.0.0.1")
print(handler._read(ti, 1)[0])
"""


@contextmanager
def log_server(airflow: PatchedAirflow, port: int, **settings: str) -> Iterator[Running]:
    script = airflow.tree / "airflow" / "bin" / "airflow"
    settings = {
        "AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT": str(port),
        "AIRFLOW__SERVICE__LOG_SERVER_HOST": "127.0.0.1",
        **settings,
    }
    argv = [airflow.interpreter, script, "serve_logs"]
    with running(argv, airflow.home / "serve_logs.out", airflow.environment(**settings), airflow.home) as process:
        yield process


def status(port: int, path: str, headers: dict[str, str]) -> int:
    """The answer to a path that is sent as it is written."""
    lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])


def test_logs_are_for_the_webserver_alone(airflow_db: PatchedAirflow) -> None:
    """It reads a log through a token of its own; nobody else does, and nothing outside of the folder is read."""
    logs = airflow_db.home / "logs"
    (logs / NAME).parent.mkdir(parents=True)
    (logs / NAME).write_text("grün\n", encoding="utf-8")
    (logs / "out").symlink_to(airflow_db.home)
    (logs / "airflow.cfg").symlink_to(airflow_db.home / "airflow.cfg")
    port = free_port()
    shared = {"AIRFLOW__WEBSERVER__SECRET_KEY": KEY, "AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT": str(port)}
    url = f"http://127.0.0.1:{port}/log"
    now = time.time()
    with log_server(airflow_db, port, **shared) as server:
        wait_for("the log server", lambda: listens(port), 60, server)
        with socket.socket() as elsewhere:
            assert elsewhere.connect_ex(("127.0.0.2", port)) != 0, "it listens where it was told to alone"
        told = airflow_db.python(_READ, **shared).stdout
        assert "grün" in told, told
        other = airflow_db.python(_READ, **{**shared, "AIRFLOW__WEBSERVER__SECRET_KEY": "another key of theirs"}).stdout
        assert "grün" not in other
        assert "secret_key the same on its machine" in other
        good = requests.get(f"{url}/{NAME}", headers=allowed(NAME, KEY), timeout=10)
        assert (good.status_code, good.content) == (200, "grün\n".encode())
        assert (good.headers["Cache-Control"], good.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        for wanted, status_, content, told in [
            ("bytes=0-0", 206, b"g", "bytes 0-0/6"),
            ("bytes=3-99", 206, b"\xbcn\n", "bytes 3-5/6"),
            ("bytes=-2", 206, b"n\n", "bytes 4-5/6"),
            ("bytes=-99", 200, "grün\n".encode(), None),
            ("bytes=6-", 416, b"", "bytes */6"),
            ("bytes=0-0,2-2", 200, "grün\n".encode(), None),
            ("lines=1-2", 200, "grün\n".encode(), None),
            ("bytes=x", 200, "grün\n".encode(), None),
        ]:
            part = requests.get(f"{url}/{NAME}", headers={**allowed(NAME, KEY), "Range": wanted}, timeout=10)
            assert (part.status_code, part.content) == (status_, content), wanted
            assert part.headers.get("Content-Range") == told
        assert requests.get(f"{url}/{NAME}", headers={"Range": "bytes=0-0"}, timeout=10).status_code == 403
        refused = [
            {},
            {"Authorization": "Bearer x.y.z"},
            {"Authorization": "Basic eDp5"},
            allowed(NAME, "another key of theirs"),
            allowed("pair/first/2.log", KEY),
            allowed(NAME, KEY, exp=now - 120, iat=now - 150),
            allowed(NAME, KEY, iat=now + 300, exp=now + 330),
            allowed(NAME, KEY, exp=now + 86400),
            allowed(NAME, KEY, aud="airflow"),
        ]
        for headers in refused:
            assert requests.get(f"{url}/{NAME}", headers=headers, timeout=10).status_code == 403, headers
        # What is asked for, and the name that it stands for, for which there is even a token.
        for path, name in [
            ("out/airflow.cfg", "out/airflow.cfg"),
            ("airflow.cfg", "airflow.cfg"),
            ("../airflow.cfg", "../airflow.cfg"),
            ("%2e%2e/airflow.cfg", "../airflow.cfg"),
            ("..%2Fairflow.cfg", "../airflow.cfg"),
            ("pair/..%2F..%2Fairflow.cfg", "pair/../../airflow.cfg"),
            ("/etc/passwd", "/etc/passwd"),
            ("%2Fetc%2Fpasswd", "/etc/passwd"),
            ("pair//first", "pair//first"),
            ("pair", "pair"),
            (f"{NAME}%00", f"{NAME}\0"),
            ("%00", "\0"),
            ("x" * 3000, "x" * 3000),
            ("none", "none"),
        ]:
            assert status(port, f"/log/{path}", allowed(name, KEY)) == 404, path
        # A name is the token's to the letter.
        assert status(port, f"/log/./{NAME}", allowed(NAME, KEY)) == 403
        assert [status(port, path, {}) for path in ("/", "/log", "/log/", "/static/x")] == [404] * 4
        assert requests.post(f"{url}/{NAME}", headers=allowed(NAME, KEY), timeout=10).status_code == 405
        assert server.process.poll() is None
    assert server.output.count("Refused ") >= len(refused) + 1
    assert "ExpiredSignatureError" in server.output
    assert "eyJ" not in server.output, "no token is logged"
    assert "Traceback" not in server.output


def test_a_key_that_everybody_knows(airflow_db: PatchedAirflow) -> None:
    """It does not start, and says why and what to set."""
    with log_server(airflow_db, free_port(), AIRFLOW__WEBSERVER__SECRET_KEY="temporary_key") as server:
        assert server.process.wait(60) == 78
    assert "secret_key: it is the one that old releases shipped" in server.output
    assert "Traceback" not in server.output
