"""An installed Airflow with an AIRFLOW_HOME of its own: a small cluster's worth of commands."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pymysql
import pytest
import requests

from harness.processes import Running, free_port, running, wait_for

DAGS = Path(__file__).resolve().parents[1] / "samples" / "dags"

# What Python and the libraries print of an API that is going away; upstream's notices that
# something of its own has another name in Airflow 2 are not that.
DEPRECATION = re.compile(
    r"^(?!.* in Airflow 2\.0)"
    r".*(?:[Dd]eprecat|FutureWarning|RemovedIn|MovedIn20|SyntaxWarning|ResourceWarning).*$",
    re.M,
)

# Short pauses, so that a test need not wait for what takes minutes in production.
_QUICK = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__PROCESSOR_POLL_INTERVAL": "0.1",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
    "AIRFLOW__WEBSERVER__WORKERS": "2",
    # Each new worker takes seconds of a core, which the tests need; test_webserver_command.py has it on.
    "AIRFLOW__WEBSERVER__WORKER_REFRESH_INTERVAL": "0",
    "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
    "AIRFLOW__WEBSERVER__EXPOSE_CONFIG": "True",
}


@dataclass
class Site:
    """An Airflow that was installed from the wheel, its home, and its settings."""

    interpreter: Path
    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.settings = {
            **_QUICK,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            **self.settings,
        }

    @property
    def database(self) -> str:
        return self.settings["AIRFLOW__CORE__SQL_ALCHEMY_CONN"]

    @property
    def environment(self) -> dict[str, str]:
        """What the processes see: nothing of the surrounding shell's Airflow or Python.

        The environment is not activated: the commands have to find their own.
        """
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))
        }
        return {**kept, "HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self.settings}

    def argv(self, *argv: str, command: str = "airflow") -> list[str]:
        return [str(self.interpreter.parent / command), *argv]

    def run(
        self, *argv: str, command: str = "airflow", check: bool = True, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, and fail with its output."""
        done = subprocess.run(
            self.argv(*argv, command=command), env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL,
            text=True, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            pytest.fail(f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done

    def start(self, *argv: str, command: str = "airflow") -> AbstractContextManager[Running]:
        """Start a command that goes on; its output is in `<its first word>.out`."""
        log = self.home / f"{argv[0]}.out"
        return running(self.argv(*argv, command=command), log, self.environment, self.home)

    @contextmanager
    def webserver(self, base_url: str = "") -> Iterator[tuple[str, Running]]:
        """A running webserver: its own address, which is its base_url unless one is given, and the process."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self.settings["AIRFLOW__WEBSERVER__WEB_SERVER_PORT"] = str(port)
        self.settings["AIRFLOW__WEBSERVER__BASE_URL"] = base_url or url
        with self.start("webserver") as process:
            wait_for("the webserver", lambda: answers(f"{url}/health"), 120, process)
            yield url, process

    def query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        """Rows of the metadata database; each `?` of the statement is one of the values."""
        url = urlsplit(self.database)
        with (
            closing(_connect(url.scheme, self.database)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(statement if url.scheme == "sqlite" else statement.replace("?", "%s"), values)
            return list(cursor.fetchall())

    def run_states(self, dag_id: str) -> list[str]:
        return [state for (state,) in self.query("SELECT state FROM dag_run WHERE dag_id = ?", dag_id)]

    def task_states(self, dag_id: str) -> dict[str, str]:
        """The state of each task instance of a DAG with one run."""
        return dict(self.query("SELECT task_id, state FROM task_instance WHERE dag_id = ?", dag_id))

    def wait_for_run(self, dag_id: str, state: str, *processes: Running, timeout: float = 240) -> None:
        """Wait until the DAG's runs, at least one, have all ended; they must have ended so."""

        def ended() -> list[str]:
            states = self.run_states(dag_id)
            return states if states and {"success", "failed"}.issuperset(states) else []

        states = wait_for(f"the end of {dag_id}", ended, timeout, *processes, interval=0.5)
        assert set(states) == {state}, (self.task_states(dag_id), [p.output[-6000:] for p in processes])

    def log_of(self, dag_id: str, task_id: str) -> str:
        """Everything that a task's tries have logged into files."""
        folder = self.home / "logs" / dag_id / task_id
        return "".join(path.read_text("utf-8") for path in sorted(folder.glob("*/*.log")))


# Makes a site: a name, and settings such as `AIRFLOW__CORE__EXECUTOR="LocalExecutor"`.
NewSite = Callable[..., Site]


def answers(url: str) -> bool:
    """Whether there is a good answer from an address."""
    try:
        return requests.get(url, timeout=10).ok
    except requests.ConnectionError:
        return False


def _connect(scheme: str, url: str) -> Any:
    if scheme == "sqlite":
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    parts = urlsplit(url)
    place: dict[str, Any] = {"host": parts.hostname, "port": parts.port}
    place |= {"user": parts.username, "password": parts.password}
    database = parts.path.removeprefix("/")
    if scheme.startswith("postgresql"):
        return psycopg2.connect(dbname=database, **place)
    return pymysql.connect(database=database, **place)


def complaints(*outputs: str) -> list[str]:
    """The lines in which a deprecated API, or a crash, shows."""
    text = "\n".join(outputs)
    crashes = re.findall(r"^Traceback \(most recent call last\):(?:\n[ \t].*)*\n.*$", text, re.M)
    return list(dict.fromkeys([*DEPRECATION.findall(text), *crashes]))
