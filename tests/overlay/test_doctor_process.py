"""The doctor, as an operator runs it: a process beside the patched Airflow."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow_process import PatchedAirflow
from harness.assertions import Gateway, service_settings

pytestmark = pytest.mark.slow


def _doctor(
    airflow: PatchedAirflow, *options: str, code: int, prefix: tuple[str, ...] = (), **settings: str
) -> dict[str, Any]:
    argv = (*prefix, str(airflow.interpreter), "-m", "airflow_service", "doctor", "--json", *options)
    done = airflow.run(*argv, check=False, **settings)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _problems(told: dict[str, Any]) -> str:
    return "\n".join(f"{one['severity']}: {one['problem']} {one['cause']}" for one in told["problems"])


def _all_files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def ready(airflow_db: PatchedAirflow) -> PatchedAirflow:
    """An initialised service with a scheduler that has just given sign of life, behind a gateway."""
    (airflow_db.home / "logs").mkdir()
    keys = Gateway(("ES256",)).publish(airflow_db.home / "keys.json")
    airflow_db.settings |= {**service_settings(keys), "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1"}
    _heartbeat(airflow_db, age=timedelta(seconds=2))
    return airflow_db


def _heartbeat(airflow: PatchedAirflow, age: timedelta) -> None:
    moment = (datetime.now(UTC) - age).strftime("%Y-%m-%d %H:%M:%S.%f")
    with sqlite3.connect(airflow.home / "airflow.db") as database:
        database.execute("DELETE FROM job")
        database.execute(
            "INSERT INTO job (job_type, state, latest_heartbeat) VALUES ('SchedulerJob', 'running', ?)",
            [moment],
        )
    database.close()


def test_a_sound_service_is_found_sound(ready: PatchedAirflow) -> None:
    """Exit code 0, also with --strict, and every fact has its place."""
    (ready.home / "plugins" / "mine.py").write_text(
        "from airflow.plugins_manager import AirflowPlugin\nclass Mine(AirflowPlugin):\n    name = 'mine'\n"
    )
    told = _doctor(ready, "--strict", code=0, AIRFLOW__SERVICE__CLUSTER_ID="eu-1")
    configured = told["configured"]
    assert told["problems"] == []
    assert configured["database"]["reachable"] == "yes"
    assert configured["database"]["migrations"] == "current"
    assert configured["core"]["scheduler"].startswith("last heartbeat")
    assert configured["plugins"]["loaded"] == "mine"
    assert (
        configured["[service]"]["cluster_id"] == "'eu-1' (environment variable AIRFLOW__SERVICE__CLUSTER_ID)"
    )
    assert configured["distribution"]["upstream version"] == "1.10.15"


def test_it_writes_nothing(airflow: PatchedAirflow) -> None:
    """Not into an empty AIRFLOW_HOME, and not where there is none at all."""
    before = _all_files(airflow.home)
    told = _doctor(airflow, code=3)
    assert "does not exist" in _problems(told)
    assert any("initdb" in one["next"] for one in told["problems"])
    assert _all_files(airflow.home) == before
    absent = airflow.home / "absent"
    _doctor(
        airflow, code=3, AIRFLOW_HOME=str(absent), AIRFLOW__CORE__SQL_ALCHEMY_CONN=f"sqlite:///{absent}/a.db"
    )
    assert _all_files(airflow.home) == before


def test_what_is_wrong_with_a_running_service_is_found(ready: PatchedAirflow) -> None:
    """A dead scheduler, a plugin that fails, and a setting that stops the start."""
    _heartbeat(ready, age=timedelta(minutes=10))
    (ready.home / "plugins" / "bad.py").write_text("import nothing_of_that_name\n")
    before = _all_files(ready.home)
    told = _doctor(
        ready, code=3, AIRFLOW__SERVICE__CDN_URL="https://u:hunter2@cdn", AIRFLOW__WEBSERVER__RBAC="True"
    )
    problems = _problems(told)
    assert "The scheduler's last heartbeat was 60" in problems
    assert "bad.py does not load: No module named 'nothing_of_that_name'" in problems
    assert "[service] cdn_url = 'https://u:***@cdn'" in problems
    assert "hunter2" not in json.dumps(told)
    assert "rbac = True" in problems
    assert _all_files(ready.home) == before


def test_tables_of_another_version_are_found(ready: PatchedAirflow) -> None:
    """Older, newer, or none at all."""
    for version, problem in (("cc1e65623dc7", "older"), ("0123456789ab", "newer"), (None, "no tables")):
        with sqlite3.connect(ready.home / "airflow.db") as database:
            database.execute("DELETE FROM alembic_version")
            database.execute("INSERT INTO alembic_version VALUES (?)", [version]) if version else None
        database.close()
        assert problem in _problems(_doctor(ready, code=3))


def test_servers_that_are_down(airflow: PatchedAirflow) -> None:
    """Database and broker refuse: both are told, without passwords, and the rest is done."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses for sure
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        told = _doctor(
            airflow,
            code=3,
            AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
            AIRFLOW__CORE__SQL_ALCHEMY_CONN=f"postgresql://u:hunter2@{address}/airflow",
            AIRFLOW__CELERY__BROKER_URL=f"amqp://u:hunter2@{address}//",
            AIRFLOW__CELERY__RESULT_BACKEND=f"db+postgresql://u:hunter2@{address}/airflow",
        )
    problems = _problems(told)
    assert "The database cannot be reached" in problems or "The driver of the database" in problems
    assert "The broker cannot be reached" in problems
    assert told["configured"]["plugins"]["loaded"] == "none"
    assert "hunter2" not in json.dumps(told)


def test_a_broken_airflow_cfg(airflow: PatchedAirflow) -> None:
    """It is told with its line, without quoting it; defaults stand in."""
    (airflow.home / "airflow.cfg").write_text("[core]\nhunter2\n")
    told = _doctor(airflow, code=3)
    assert "airflow.cfg cannot be read: neither a setting nor a [section]: line 2" in _problems(told)
    assert "hunter2" not in json.dumps(told)


def test_a_read_only_home(ready: PatchedAirflow) -> None:
    """It works there, and says that logs cannot be written."""
    # Root may write anywhere, unless it runs without that capability.
    drop = (
        ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override") if os.geteuid() == 0 else ()
    )
    (ready.home / "logs").chmod(0o555)
    ready.home.chmod(0o555)
    try:
        told = _doctor(ready, code=3, prefix=drop)
    finally:
        ready.home.chmod(0o755)
    assert "logs cannot be written to" in _problems(told)
    assert told["configured"]["database"]["reachable"] == "yes"
    assert told["configured"]["plugins"]["loaded"] == "none"
