"""A real webserver of the patched tree behind the gateway's assertions, and requests to it by role."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from airflow_process import PatchedAirflow, patched
from www_client import RUN_DAG, write_dag

from harness.assertions import HEADER, Gateway, service_settings
from harness.processes import free_port, running, wait_for

SAMPLES = Path(__file__).parents[1] / "samples"
GATEWAY = Gateway(("ES256",))
ROLES = ("admin", "user", "viewer", None)

# What the server does at its start: a run of the DAG, the plugin's tables, and what it serves, as JSON.
_START = (
    """
import json, pathlib
from airflow import models, settings
from airflow.www.app import create_app
application = create_app()
for name in ("classic_team", "classic_member"):
    models.base.Base.metadata.tables[name].create(settings.engine)
"""
    + RUN_DAG
    + """
from airflow_service.gateway import route_report
(pathlib.Path(__file__).parent / "routes.json").write_text(json.dumps(route_report.as_json(application)))
"""
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


class Send(Protocol):
    """A request to the application: a path below its prefix, as it is to go over the wire, and a role."""

    def __call__(
        self, method: str, path: str, role: str | None, headers: dict[str, str] | None = None, body: str = ""
    ) -> Answer: ...


@dataclass(frozen=True, slots=True)
class RoleServer:
    """The running webserver."""

    airflow: PatchedAirflow
    port: int
    log: Path

    @property
    def database(self) -> Path:
        return self.airflow.home / "airflow.db"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Each method of each route of the application that runs; see airflow_service.gateway.route_report."""
        read: list[dict[str, Any]] = json.loads((self.airflow.home / "routes.json").read_text())
        return read

    def send(
        self, method: str, path: str, role: str | None, headers: dict[str, str] | None = None, body: str = ""
    ) -> Answer:
        """Straight to the webserver, with an assertion for the role."""
        fields = {
            "Host": f"127.0.0.1:{self.port}", "Accept": "text/html", "Connection": "close",
            "Content-Length": str(len(body)), **identify(role), **(headers or {}),
        }  # fmt: skip
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in fields.items()),
            "",
            body,
        ]
        # http.client would refuse, or write in its own way, paths that are worth a try.
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as wire:
            wire.sendall("\r\n".join(lines).encode("latin-1"))
            answer = http.client.HTTPResponse(wire, method=method)
            answer.begin()
            text = answer.read().decode("utf-8", "replace")
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables, but for the audit log."""
        with closing(sqlite3.connect(self.database)) as database:
            names = [
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {name: list(database.execute(f"SELECT * FROM {name}")) for name in names if name != "log"}


def identify(role: str | None) -> dict[str, str]:
    """The headers that the control plane adds for somebody of a role."""
    return {HEADER: GATEWAY.sign(role=role)} if role else {}


@pytest.fixture(scope="session")
def roles(tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path) -> Iterator[RoleServer]:
    """One webserver with the sample plugins for all tests that only ask; on the first Python."""
    made = patched(tmp_path_factory.mktemp("roles") / "home", airflow_tree, _interpreter())
    shutil.copytree(SAMPLES / "plugins" / "folder" / "classic", made.home / "plugins" / "classic")
    made.settings["PYTHONPATH"] = f"{made.tree}:{SAMPLES / 'plugins' / 'packaged'}"
    if given := os.environ.get("AIRFLOW_DATABASE"):
        shutil.copy(given, made.home / "airflow.db")
    else:
        made.command("initdb")
    with role_server(made) as server:
        yield server


def _interpreter() -> Path:
    if given := os.environ.get("AIRFLOW_PYTHON"):
        return Path(given)
    from harness import environments

    return environments.runtime(next(iter(environments.pythons())))


@contextmanager
def role_server(airflow: PatchedAirflow) -> Iterator[RoleServer]:
    """Run the webserver of a home with a database; it has the sample plugins and a DAG that has run."""
    write_dag(airflow)
    start = airflow.home / "role_server_start.py"
    start.write_text(_START)
    port = free_port()
    argv = [
        str(airflow.interpreter), "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4",
        "--chdir", str(airflow.home), "--timeout", "120", "role_server_start:application",
    ]  # fmt: skip
    airflow.settings.update(service_settings(GATEWAY.publish(airflow.home / "keys.json")))
    environment = airflow.environment(AIRFLOW__WEBSERVER__BASE_URL=f"http://127.0.0.1:{port}")
    log = airflow.home / "role_server.out"
    with running(argv, log, environment, airflow.home) as process:
        server = RoleServer(airflow, port, log)
        wait_for("the webserver", lambda: _answers(port), 120, process)
        yield server


def _answers(port: int) -> bool:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
    except OSError:
        return False
