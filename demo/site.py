"""The demo's Airflow: its commands, its services, and when they have come up."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuildError
from demo.edge import PREFIX, Edge, answers
from demo.gateway import CLUSTER, Gateway
from demo.log_store import LogStore
from demo.platform import connection
from demo.processes import stop

WHEN = "2026-01-01T00:00:00+00:00"
# Seconds for the webserver to answer, for the DAG to end, and for a process to stop.
START, RUN, STOP = 90, 180, 20
# What would get in of the user's own: settings, plugins, credentials.
_FOREIGN = ("AIRFLOW", "PYTHON", "AWS_")


class DemoFailed(BuildError):
    """The demo's Airflow did not do what it should."""

    exit_code = 40


@dataclass(frozen=True, slots=True)
class Demo:
    """A started Airflow: its environment, its home, where it listens, and what is around it."""

    environment: Path
    home: Path
    port: int
    edge: Edge | None
    platform: str
    """The URL of the stand-in for outside platforms."""
    logs: LogStore | None = None
    """Where task logs go; nowhere but this machine without it."""

    @property
    def gateway(self) -> Gateway | None:
        """Who decides who may enter; nobody, without an nginx that asks."""
        if self.edge is None:
            return None
        return Gateway(self.environment / "bin" / "airflow-service", self.home / "gateway", self.edge)

    @property
    def url(self) -> str:
        """Where browsers find it."""
        if self.edge is None:
            return f"http://127.0.0.1:{self.port}"
        return f"http://127.0.0.1:{self.edge.port}{PREFIX}"

    @property
    def settings(self) -> dict[str, str]:
        """The process environment: nothing of the user's own Airflow gets in."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)
        }
        return {
            **kept,
            "PATH": f"{self.environment / 'bin'}{os.pathsep}{kept['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).resolve().parent / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
            "AIRFLOW__CORE__FERNET_KEY": "",
            # One task at a time runs here, and one file is read at a time: each would wait for seconds.
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__PROCESSOR_POLL_INTERVAL": "0.1",
            "AIRFLOW__WEBSERVER__BASE_URL": self.url,
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self.port),
            "AIRFLOW__WEBSERVER__WORKERS": "2",
            "AIRFLOW__WEBSERVER__SECRET_KEY": os.urandom(16).hex(),
            "AIRFLOW__SERVICE__CLUSTER_ID": CLUSTER,
            "AIRFLOW_CONN_QUBOLE_DEFAULT": connection(self.platform),
            "AIRFLOW__SERVICE__CDN_URL": self.edge.cdn_url if self.edge else "",
            **(self.gateway.settings if self.gateway else {}),
            **(self.logs.settings if self.logs else {}),
        }

    @property
    def webserver_settings(self) -> dict[str, str]:
        """A webserver has tasks' logs from S3: its own folder of them is empty, as on another machine."""
        if self.logs is None:
            return self.settings
        return {**self.settings, "AIRFLOW__CORE__BASE_LOG_FOLDER": str(self.home / "webserver-logs")}

    def run(self, *arguments: str) -> str:
        """Run one of Airflow's commands to its end; returns what it printed."""
        done = subprocess.run(
            ["airflow", *arguments],
            executable=self.environment / "bin" / "airflow",
            env=self.settings, cwd=self.home, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise DemoFailed(
                f"airflow {arguments[0]} ended with {done.returncode}",
                detail=_tail(done.stdout + done.stderr),
            )
        return done.stdout

    def state_of(self, dag: str) -> str:
        """The state of a DAG's one run; `airflow dag_state` would take a core from the scheduler each time."""
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as database:
            rows = database.execute("SELECT state FROM dag_run WHERE dag_id = ?", (dag,)).fetchall()
        return "".join(state for (state,) in rows)

    @contextlib.contextmanager
    def service(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run one of Airflow's commands that do not end soon; its output goes to a file in the home."""
        settings = self.webserver_settings if name == "webserver" else self.settings
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [self.environment / "bin" / "airflow", name, *arguments],
                env=settings, cwd=self.home, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                yield process
            finally:
                stop(process, STOP)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-15:])


def wait_for_page(demo: Demo, services: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START
    # Past nginx, which lets nobody through who has not logged in.
    while not answers(f"http://127.0.0.1:{demo.port}/health"):
        refuse_ended(demo, services)
        if time.monotonic() > deadline:
            raise DemoFailed(
                "the webserver does not answer", detail=_tail((demo.home / "webserver.log").read_text())
            )
        time.sleep(0.5)


def wait_for_run(demo: Demo, services: list[subprocess.Popen[bytes]], dag: str) -> None:
    deadline = time.monotonic() + RUN
    while True:
        state = demo.state_of(dag)
        if state == "success":
            return
        refuse_ended(demo, services)
        if state == "failed" or time.monotonic() > deadline:
            log = (demo.home / "scheduler.log").read_text()
            raise DemoFailed(
                f"{dag} did not succeed", detail=_tail(log), next_step=f"read the logs in {demo.home}"
            )
        time.sleep(1)


def refuse_ended(demo: Demo, services: list[subprocess.Popen[bytes]]) -> None:
    for process in services:
        if process.poll() is not None:
            raise DemoFailed(
                f"a service ended with {process.returncode}", next_step=f"read the logs in {demo.home}"
            )
