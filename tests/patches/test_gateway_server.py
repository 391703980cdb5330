"""The gateway's check in a real gunicorn, where headers come as a client writes them."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from airflow_process import patched
from harness.assertions import Gateway, service_settings
from harness.processes import free_port, listens, running, wait_for

pytestmark = [pytest.mark.slow]


@dataclass(frozen=True)
class Server:
    """A webserver's port, its gateway, and the file of keys that it reads."""

    port: int
    gateway: Gateway
    keys: Path

    def send(self, *lines: str, request: str = "GET /api/experimental/test HTTP/1.1", body: str = "") -> int:
        """The status of the answer to a request of these lines; 0 for none."""
        head = [request, "Host: a", "Connection: close", f"Content-Length: {len(body)}", *lines]
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            connection.sendall("\r\n".join([*head, "", body]).encode("latin-1"))
            answer = connection.makefile("rb").readline().split()
        return int(answer[1]) if answer else 0

    def get(self, assertion: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/api/experimental/test", headers={"X-Airflow-Assertion": assertion})
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path, database_template: Path
) -> Iterator[Server]:
    airflow = patched(tmp_path_factory.mktemp("gateway") / "home", airflow_tree, airflow_interpreter)
    (airflow.home / "airflow.db").write_bytes(database_template.read_bytes())
    gateway, port = Gateway(("ES256",)), free_port()
    keys = gateway.publish(airflow.home / "keys.json")
    command = [
        airflow_interpreter, "-m", "gunicorn", "--config", "python:airflow.www.gunicorn_config", "--threads", "4",
        "--workers", "1", "--bind", f"127.0.0.1:{port}", "airflow.www.app:cached_app()",
    ]  # fmt: skip
    environment = airflow.environment(**service_settings(keys))
    with running(command, airflow.home / "gunicorn.log", environment) as process:
        wait_for("the webserver", lambda: listens(port), 120, process)
        served = Server(port, gateway, keys)
        wait_for("an answer", lambda: served.get(gateway.sign()) == 200, 120, process)
        yield served


def test_one_header_of_one_spelling(server: Server) -> None:
    """In any case, and once: no twin, no underscore, no fold, no trailer, no body is taken for it."""
    good, bad = server.gateway.sign(), server.gateway.sign(exp=1)
    name = "X-Airflow-Assertion"
    for spelt in (name, name.lower(), name.upper()):
        assert server.send(f"{spelt}: {good}") == 200
    assert server.send(f"{name}:   {good}  ") == 200
    refused = {
        "none": [], "twice": [f"{name}: {good}", f"{name}: {good}"],
        "a bad one first": [f"{name}: {bad}", f"{name}: {good}"],
        "a bad one last": [f"{name}: {good}", f"{name}: {bad}"], "an empty one first": [f"{name}:", f"{name}: {good}"],
        "in two cases": [f"{name}: {good}", f"{name.lower()}: {good}"], "underscores": [f"X_Airflow_Assertion: {good}"],
        "one underscore": [f"X-Airflow_Assertion: {good}"], "a space before the colon": [f"{name} : {good}"],
        "a name before it": [f"Y: a\n{name}: {good}"], "folded": [f"{name}: {good[:50]}", f" {good[50:]}"],
        "as a trailer": [f"Trailer: {name}"], "NUL": [f"{name}: {good}\0"], "9 kB": [f"{name}: {'a' * 9000}"],
        "as a cookie": [f"Cookie: {name}={good}"], "of another name": [f"X-Airflow-Assertion-: {good}"],
    }  # fmt: skip
    answers = {how: server.send(*lines) for how, lines in refused.items()}
    assert {how: status for how, status in answers.items() if status not in (400, 401, 431)} == {}
    assert server.send(f"{name}: {good}", "X_Airflow_Assertion: forged") == 200
    assert server.send(request="POST /api/experimental/test HTTP/1.1", body=f"{name}: {good}") == 401
    assert server.send(request=f"GET /api/experimental/test?{name}={good} HTTP/1.1") == 401
    for method in ("HEAD", "OPTIONS", "TRACE", "PUT", "XYZ"):
        assert server.send(request=f"{method} /admin/ HTTP/1.1") in (401, 405, 501)


def test_a_rotation_under_load_is_not_noticed(server: Server) -> None:
    """The new key is published before it signs, and the old one until what it signed is gone."""
    gateway = server.gateway
    old = gateway.public("ES256")
    before = gateway.sign()
    gateway.rotate()
    server.keys.with_suffix(".new").write_text(json.dumps({"keys": [old, gateway.public("ES256")]}))
    server.keys.with_suffix(".new").replace(server.keys)
    published = time.monotonic()

    def ask(number: int) -> int:
        time.sleep(0.01)
        # A look every two seconds; the machine may be busy.
        fresh = time.monotonic() - published > 5 and number % 2
        return server.get(gateway.sign(jti=str(number)) if fresh else before)

    with ThreadPoolExecutor(4) as pool:
        statuses = []
        while time.monotonic() - published < 7:
            statuses += pool.map(ask, range(40))
    assert set(statuses) == {200}
    gateway.publish(server.keys)
    end = time.monotonic() + 20
    while server.get(before) == 200 and time.monotonic() < end:
        time.sleep(0.2)
    assert (server.get(before), server.get(gateway.sign())) == (401, 200)
