"""Tasks that really run, and their logs on a real S3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow
from harness.faulty_proxy import Fault, faulty_proxy
from harness.processes import running, wait_for
from harness.s3 import S3Server

DAY = "2026-01-01T00:00:00+00:00"
_DAG = """
import logging, os, sys, time
from datetime import datetime
from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.python_operator import PythonOperator

def speak():
    from airflow.hooks.base_hook import BaseHook
    from airflow.models import Variable
    print("printed \\u2026 by the task")
    logging.getLogger("of.mine").info("a library's %s", "line")
    connection = BaseHook.get_connection("store")
    print("password", connection.password, "quoted p%40ss%2Fword-1")
    print("extra", connection.extra_dejson["api_token"], connection.extra_dejson["region_name"])
    print("variable", Variable.get("my_secret"), Variable.get("plain"))
    logging.getLogger("of.mine").info("%d is no number", "this")

def go_on():
    for number in range(600):
        print("line", number, flush=True)
        time.sleep(0.05)

with DAG("speaking", start_date=datetime(2026, 1, 1), schedule_interval=None) as dag:
    PythonOperator(task_id="speak", python_callable=speak)
    PythonOperator(task_id="go_on", python_callable=go_on)
    BashOperator(task_id="quick", bash_command="echo from bash; echo $SAID")
"""


def with_logs(airflow: PatchedAirflow, url: str, bucket: str) -> PatchedAirflow:
    """Remote logging on, with the machine's own credentials, here the environment's."""
    (airflow.home / "dags" / "speaking.py").write_text(_DAG)
    airflow.settings |= {
        "AIRFLOW__CORE__REMOTE_LOGGING": "True",
        "AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": f"s3://{bucket}/logs",
        "AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": url,
        "AIRFLOW_CONN_STORE": "http://user:p%40ss%2Fword-1@host/?api_token=tok-en-123&region_name=eu-1",
        "AIRFLOW_VAR_MY_SECRET": "of-the-variable",
        "AIRFLOW_VAR_PLAIN": "nothing-secret",
        "AWS_ACCESS_KEY_ID": "admin",
        "AWS_SECRET_ACCESS_KEY": "admin-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return airflow


def run_task(airflow: PatchedAirflow, task: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return airflow.command("run", "--local", "-A", "speaking", task, DAY, check=False, **settings)


def local_file(airflow: PatchedAirflow, task: str) -> Path:
    return airflow.home / "logs" / "speaking" / task / DAY / "1.log"


def sweep(airflow: PatchedAirflow) -> dict[str, object]:
    done = airflow.python(
        "import dataclasses, json\nfrom airflow_service.task_logs.sweep import sweep\n"
        "print(json.dumps(dataclasses.asdict(sweep())))"
    )
    report: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_the_handler_is_chosen(airflow_db: PatchedAirflow, s3: S3Server) -> None:
    """By the setting and the folder alone: what both processes of a task wrote is one object, as it is on disk."""
    bucket = s3.bucket()
    airflow = with_logs(airflow_db, s3.url, bucket)
    done = run_task(airflow, "quick", SAID="said")
    assert done.returncode == 0, done.stdout + done.stderr
    file = local_file(airflow, "quick")
    written = file.read_bytes()
    assert s3.objects(bucket) == {f"logs/speaking/quick/{DAY}/1.log": written}
    for part in (b"INFO - from bash", b"INFO - said", b"Task exited with return code 0", b"Started process"):
        assert written.count(part) == 1
    assert file.stat().st_mode & 0o777 == 0o640
    assert {one.stat().st_mode & 0o777 for one in file.parents[:3]} == {0o750}
    assert sweep(airflow)["shipped"] == []


def test_secrets_are_masked(airflow_db: PatchedAirflow, s3: S3Server) -> None:
    """Those of connections and of variables that say by their names that they are secret; nothing else is."""
    airflow = with_logs(airflow_db, s3.url, s3.bucket())
    done = run_task(airflow, "speak")
    assert done.returncode == 0, done.stdout + done.stderr
    written = local_file(airflow, "speak").read_text("utf-8")
    for secret in ("p@ss/word-1", "p%40ss%2Fword-1", "tok-en-123", "of-the-variable"):
        assert secret not in written + done.stdout + done.stderr
    for line in ("password *** quoted ***", "extra *** eu-1", "variable *** nothing-secret", "a library's line"):
        assert written.count(line) == 1
    assert "printed … by the task" in written
    assert "'%d is no number' ('this',)" in written


def test_a_running_task_and_its_death(airflow_db: PatchedAirflow, s3: S3Server) -> None:
    """Its log is on S3 within ten seconds; after a kill of all its processes, a sweep brings the rest."""
    bucket = s3.bucket()
    airflow = with_logs(airflow_db, s3.url, bucket)
    script = airflow.tree / "airflow" / "bin" / "airflow"
    argv = [airflow.interpreter, script, "run", "--local", "-A", "speaking", "go_on", DAY]
    file = local_file(airflow, "go_on")
    with running(argv, airflow.home / "out", airflow.environment(), airflow.home) as process:
        wait_for("the task", lambda: file.exists() and b"line 0" in file.read_bytes(), 60, process)
        begun = time.monotonic()
        objects = wait_for("a segment", lambda: s3.objects(bucket), 30, process)
        assert time.monotonic() - begun < 15
        assert list(objects) == [f"logs/speaking/go_on/{DAY}/1.log.parts/{0:020d}"]
        assert b"line 0\n" in objects.popitem()[1]
        assert sweep(airflow)["live"] == [f"speaking/go_on/{DAY}/1.log"]
        for pid in [process.process.pid, *process.descendants()]:
            os.kill(pid, signal.SIGKILL)
        process.process.wait(10)
    assert sweep(airflow)["shipped"] == [f"speaking/go_on/{DAY}/1.log"]
    assert s3.objects(bucket) == {f"logs/speaking/go_on/{DAY}/1.log": file.read_bytes()}


_HOSTILE = """
import datetime, logging, os
from airflow_service.task_logs.handler import S3TaskHandler
from airflow_service.task_logs.journal import Keeper

class Hostile:
    def __repr__(self): raise RuntimeError("from repr")
    __str__ = __format__ = __repr__

class Worse(Exception):
    __repr__ = __str__ = Hostile.__repr__

class Thrower:
    def __str__(self): raise Worse()

class Task:
    dag_id, task_id, execution_date, try_number, raw = "d", "t", datetime.datetime(2026, 1, 1), 1, True

logging.raiseExceptions = True
handler = S3TaskHandler(os.environ["FOLDER"], "s3://nowhere/logs", "a/1.log")
handler.set_context(Task())
log = logging.Logger("hostile")
log.addHandler(handler)
log.info("got %s", Hostile())
log.info("thrown %s", Thrower())
log.info("%d", "text")
log.info(Hostile())
log.info("lone \\ud800 %s", b"\\xff")
log.info(b"bytes \\xff")
try:
    raise Worse()
except Worse:
    log.exception("with a trace")

def fails(*arguments):
    raise ValueError("a broken journal")

Keeper.read = fails
handler._log._limit, handler._log._looked = -1, -10.0
log.info("not kept")
def fails_too(*arguments):
    raise ValueError("a broken file")
handler._log.write = fails_too
log.info("not written")
"""


def test_hostile_records(airflow_db: PatchedAirflow, tmp_path: Path) -> None:
    """What cannot be shown, or written, is told of by its kind, and never fails the task that logs it."""
    done = airflow_db.python(_HOSTILE, check=False, FOLDER=str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "a" / "1.log").read_text("utf-8").splitlines()
    told = "*** A line could not be made: "
    assert lines[:2] == [f"{told}RuntimeError", f"{told}Worse"]
    assert lines[2].endswith("'%d' ('text',)")
    assert lines[3:5] == [f"{told}RuntimeError", "lone \\ud800 b'\\xff'"]
    assert lines[5] == "b'bytes \\xff'"
    assert lines[6].startswith("with a trace") or lines[6] == f"{told}RuntimeError"


_FAST = """
import datetime, logging, os
from airflow_service.task_logs.handler import S3TaskHandler

class Task:
    dag_id, task_id, execution_date, try_number, raw = "d", "t", datetime.datetime(2026, 1, 1), 1, True

handler = S3TaskHandler(os.environ["FOLDER"], "s3://nowhere/logs", "a/1.log")
handler.set_context(Task())
log = logging.Logger("fast")
log.addHandler(handler)
for number in range(24):
    log.info("%s %s", number, "x" * (1 << 20))
    handler._log._looked = -10.0
"""


def test_what_is_about_to_be_shipped_is_no_backlog(airflow_db: PatchedAirflow, tmp_path: Path) -> None:
    """A segment of up to 8 MiB is gathered for nine seconds, and written down with the next one."""
    airflow_db.python(_FAST, FOLDER=str(tmp_path), AIRFLOW__SERVICE__LOGS_BACKLOG_LIMIT="1")
    with (tmp_path / "a" / "1.log").open() as file:
        kept = [line.partition(" ")[0] for line in file]
    assert kept == [*map(str, range(17)), "***"]


# The second waits for what does not come.
@pytest.mark.parametrize("fault", ["403 AccessDenied", pytest.param("stall", marks=pytest.mark.thorough)])
def test_s3_that_does_not_answer(airflow_db: PatchedAirflow, s3: S3Server, fault: str) -> None:
    """The task succeeds, its end waits some seconds at most, and its log follows later."""
    bucket = s3.bucket()
    with faulty_proxy(s3.url) as proxy:
        airflow = with_logs(airflow_db, proxy.url, bucket)
        proxy.faults.append(Fault(fault, times=1000))
        begun = time.monotonic()
        done = run_task(airflow, "quick", SAID="said")
        took = time.monotonic() - begun
        assert done.returncode == 0, done.stdout + done.stderr
        assert took < 50
        state = airflow.command("task_state", "speaking", "quick", DAY).stdout.splitlines()[-1]
        assert state == "success"
        written = local_file(airflow, "quick").read_bytes()
        assert b"INFO - said" in written
        assert b"*** This log is not whole on S3 yet" in written
        assert s3.objects(bucket) == {}
        proxy.faults.clear()
        assert sweep(airflow)["shipped"] == [f"speaking/quick/{DAY}/1.log"]
        assert s3.objects(bucket) == {f"logs/speaking/quick/{DAY}/1.log": written}
