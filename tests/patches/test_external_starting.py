"""Between a platform's answer and the storing of a command's id nothing gets lost but by SIGKILL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow_process import PatchedAirflow
from harness.platforms import connection, registered
from harness.scenes import PLATFORMS, cancels, command, play

from stand_in import Fault, Plan, StandIn, serving


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving() as server:
        yield server


def test_a_kill_waits_for_the_id(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Killed, or out of time, while Qubole's answer is on its way: the command is cancelled all the same."""
    stand_in.commands.default = Plan(seconds=None)
    stand_in.faults.add(Fault("slow", method="POST", delay=1.5))
    told = play(
        airflow_db,
        stand_in.url,
        """
import datetime, os, signal, threading
from airflow.contrib.operators.qubole_operator import QuboleOperator
dag = new_dag()
given = {"operator": QuboleOperator, "command_type": "shellcmd", "script": "ls"}
tasks = [
    new_task(dag, "killed", **given),
    new_task(dag, "late", execution_timeout=datetime.timedelta(seconds=1), **given),
]
run_of(dag)
for task in tasks:
    if task.task_id == "killed":
        threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        TaskInstance(task, DAY).run(ignore_all_deps=True)
    except Exception as error:
        print(error)
tell(tasks=recorded(dag))
""",
        AIRFLOW_CONN_QUBOLE_DEFAULT=connection(stand_in.url),
        PYTHONPATH=f"{registered(airflow_db.tree, airflow_db.home)['PYTHONPATH']}:{PLATFORMS}",
    )
    assert {name: task["state"] for name, task in told["tasks"].items()} == {"killed": "failed", "late": "failed"}
    assert [row["ended"] for task in told["tasks"].values() for row in task["rows"]] == ["cancelled"] * 2
    assert [each.cancels for each in stand_in.commands] == [1, 1]


def test_a_kill_does_not_wait_for_ever(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A platform that does not answer keeps a task from its end for so long only; handlers are put back."""
    told = play(
        airflow_db,
        stand_in.url,
        """
import os, signal, threading, time
from airflow_service.external_commands.starting import starting
class Killed(Exception): pass
def killed(number, frame): raise Killed
signal.signal(signal.SIGTERM, killed)
def outcome(work, seconds=0.5, kill=True):
    began = time.monotonic()
    try:
        with starting(seconds):
            if kill:
                os.kill(os.getpid(), signal.SIGTERM)
            work()
            done = True
        time.sleep(0)
        return ["done", time.monotonic() - began]
    except Exception as error:
        return [type(error).__name__, time.monotonic() - began, "done" in locals()]
def fails():
    raise ValueError
found = [outcome(lambda: time.sleep(30)), outcome(lambda: time.sleep(0.1)), outcome(fails, kill=False),
         outcome(lambda: None, kill=False)]
elsewhere = []
thread = threading.Thread(target=lambda: elsewhere.append(outcome(lambda: None, kill=False)))
thread.start()
thread.join()
tell(found=found, elsewhere=elsewhere, restored=signal.getsignal(signal.SIGTERM) is killed)
""",
    )
    patient, short, failed, plain = told["found"]
    assert (patient[0], patient[2]) == ("Killed", False)
    assert patient[1] < 5
    # What was begun is carried to its end, and the kill comes after it.
    assert (short[0], short[2]) == ("Killed", True)
    assert failed[0] == "ValueError"
    assert plain[0] == told["elsewhere"][0][0] == "done"
    assert told["restored"] is True


def test_an_id_that_cannot_be_stored(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """The command of a push that fails is cancelled, and the task fails: be it known to the table, or to nobody."""
    stand_in.commands.default = Plan(seconds=None)
    told = play(
        airflow_db,
        stand_in.url,
        """
dag = new_dag()
tasks = [new_task(dag, "no_xcom"), new_task(dag, "nowhere")]
run_of(dag)
refuse = "CREATE TRIGGER no_{0} BEFORE INSERT ON {0} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
found = {}
for task, tables in zip(tasks, (["xcom"], ["external_command"])):
    for table in tables:
        settings.engine.execute(refuse.format(table))
    try:
        TaskInstance(task, DAY).run(ignore_all_deps=True)
    except Exception as error:
        found[task.task_id] = str(error)
tell(tasks=recorded(dag), found=found)
""",
    )
    assert {name: task["state"] for name, task in told["tasks"].items()} == {"no_xcom": "failed", "nowhere": "failed"}
    assert all("the disk is full" in error for error in told["found"].values())
    assert [row["ended"] for row in told["tasks"]["no_xcom"]["rows"]] == ["cancelled"]
    assert told["tasks"]["nowhere"]["rows"] == []
    assert [each.cancels for each in stand_in.commands] == [1, 1]


def test_a_running_task_that_nobody_fails(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """With the DAG's file gone no scheduler finds the zombie: a sweep cancels its command, and no living worker's."""
    names = ("abandoned", "alive", "fresh")
    commands = {name: command(stand_in, seconds=None) for name in names}
    told = play(
        airflow_db,
        stand_in.url,
        f"""
import datetime
from airflow.jobs import LocalTaskJob
from airflow_service.external_commands import reconcile, table
commands = {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name) for name in commands}}
run_of(dag)
session = settings.Session()
ago = timezone.utcnow() - datetime.timedelta(hours=1)
for name, task in tasks.items():
    instance = running(task)
    push(instance, commands[name])
    job = LocalTaskJob(task_instance=instance)
    job.state, job.latest_heartbeat = "running", ago if name == "abandoned" else timezone.utcnow()
    session.add(job)
    session.commit()
    stored = session.query(TaskInstance).filter(TaskInstance.task_id == name)
    stored.update({{"job_id": job.id, "start_date": timezone.utcnow() if name == "fresh" else ago}})
session.execute(table.TABLE.update().where(table.TABLE.c.task_id != "fresh").values(started_at=1.7e9))
session.commit()
outcomes = [outcome.as_json() for outcome in reconcile.sweep()]
tell(tasks=recorded(dag), outcomes=outcomes)
""",
    )
    assert [outcome["task_id"] for outcome in told["outcomes"]] == ["abandoned"]
    assert {task["state"] for task in told["tasks"].values()} == {"running"}
    assert cancels(stand_in) == {commands["abandoned"]: 1}
