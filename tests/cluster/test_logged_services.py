"""A worker and Flower as a supervisor starts them, by `airflow-service logged`; all servers are real."""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from airflow_service.service_logs.names import host_name
from harness.log_node import texts
from harness.processes import Running, free_port, running, wait_for
from harness.s3 import S3Server
from harness.servers import Postgres
from harness.site import Site, answers

pytestmark = [pytest.mark.slow]

_DAG = """
import time
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.operators.python_operator import PythonOperator

dag = DAG("patient", start_date=datetime(2024, 1, 1), schedule_interval=None)


def wait():
    Path({folder!r}, "begun").touch()
    while not Path({folder!r}, "go").exists():
        time.sleep(0.1)


PythonOperator(task_id="waits", python_callable=wait, dag=dag)
"""
# What the scheduler's executor does, without a scheduler.
_SEND = """
from airflow.executors.celery_executor import execute_command
command = ["airflow", "run", "patient", "waits", "2024-01-01", "--local", "--ignore_all_dependencies", "-sd", {dag!r}]
execute_command.apply_async(args=[command], queue="default")
"""


@pytest.fixture
def site(installed: Path, postgres: Postgres, redis: str, tmp_path: Path) -> Site:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "patient.py").write_text(_DAG.format(folder=str(tmp_path)))
    database = postgres.create("logged")
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": redis,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SERVICE__LOG_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__CELERY__FLOWER_HOST": "127.0.0.1",
        "AIRFLOW__CELERY__FLOWER_PORT": str(free_port()),
    }
    site = Site(installed, tmp_path / "home", settings)
    site.run("initdb")
    return site


def test_worker_and_flower(site: Site, tmp_path: Path, s3: S3Server) -> None:
    """They get their signals, and each of their lines is dated, with the host, in its file, and then on S3."""
    bucket = s3.bucket()
    _ships_to(site, tmp_path, s3, bucket)
    flower_port = site.settings["AIRFLOW__CELERY__FLOWER_PORT"]
    with _logged(site, tmp_path, "worker") as worker, _logged(site, tmp_path, "flower") as flower:
        wait_for("the worker", lambda: " ready." in _said(tmp_path, "worker"), 120, worker)
        wait_for("Flower", lambda: answers(f"http://127.0.0.1:{flower_port}/"), 120, flower)
        site.run("-c", _SEND.format(dag=str(tmp_path / "dags" / "patient.py")), command="python")
        wait_for("the task", (tmp_path / "begun").exists, 120, worker)
        # While they run, too.
        site.run("ship-logs", command="airflow-service")
        worker.process.terminate()
        wait_for("its answer", lambda: "Warm shutdown" in _said(tmp_path, "worker"), 30, worker)
        time.sleep(1)
        assert worker.process.poll() is None
        (tmp_path / "go").touch()
        assert worker.process.wait(60) == 0
        assert site.task_states("patient") == {"waits": "success"}
        assert flower.terminate() == 0
    # They said nothing to the supervisor's own output.
    assert worker.output == flower.output == ""
    site.run("ship-logs", command="airflow-service")
    shipped = {"worker": "", "flower": ""}
    # The service is in the third place; a day may have ended.
    for name, text in texts(s3.objects(bucket, "logs/_service/")).items():
        shipped[name.split("/")[2]] += text.decode()
    for service, text in shipped.items():
        assert text == _said(tmp_path, service)
        label = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {re.escape(host_name())} {service}: "
        assert [line for line in text.splitlines() if not re.match(label, line)] == []
        assert "\x1b" not in text
    assert "Executing command in Celery: ['airflow', 'run', 'patient'" in shipped["worker"]
    assert "Visit me at http://127.0.0.1" in shipped["flower"]


def _logged(site: Site, folder: Path, service: str) -> AbstractContextManager[Running]:
    """`airflow-service logged SERVICE airflow SERVICE`, with the log in a folder of the test's."""
    command = ["logged", "--file", str(folder / f"{service}.log"), service, *site.argv(service)]
    argv = site.argv(*command, command="airflow-service")
    return running(argv, site.home / f"{service}.out", site.environment, site.home)


def _said(folder: Path, service: str) -> str:
    path = folder / f"{service}.log"
    return path.read_text() if path.exists() else ""


def _ships_to(site: Site, folder: Path, s3: S3Server, bucket: str) -> None:
    """Have `ship-logs` bring the two files to a bucket."""
    keys = s3.keys()
    (folder / "keys").write_text(
        f"[default]\naws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {keys['AWS_SECRET_ACCESS_KEY']}\n"
    )
    logs = [f'[[log]]\nservice = "{name}"\npaths = ["{folder}/{name}.log"]\n' for name in ("worker", "flower")]
    (folder / "logs.toml").write_text("".join(logs))
    site.settings |= {
        "AIRFLOW__CORE__REMOTE_LOGGING": "True",
        "AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": f"s3://{bucket}/logs",
        "AIRFLOW__SERVICE__CLUSTER_ID": "eu-1",
        "AIRFLOW__SERVICE__SERVICE_LOGS": str(folder / "logs.toml"),
        "AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": s3.url,
        "AIRFLOW__SERVICE__LOGS_REGION": "us-east-1",
        "AIRFLOW__SERVICE__LOGS_CREDENTIALS_FILE": str(folder / "keys"),
    }
