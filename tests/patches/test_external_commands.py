"""A task's failure and its command's state agree, whatever the platform answers."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from airflow_process import PatchedAirflow
from harness.platforms import connection
from harness.scenes import cancels, command, play

from stand_in import Fault, StandIn, serving

SUCCESS = {"state": "success", "fails": 0, "events": ["success"], "callbacks": ["success"]}
FAILED = {"state": "failed", "fails": 1, "events": ["failed"], "callbacks": ["failed"]}
RETRY = {"state": "up_for_retry", "fails": 1, "events": ["failed"], "callbacks": ["retry"]}


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving({"stand-in-token": "main", "other": "other"}) as server:
        yield server


def _has(found: dict[str, object], expected: dict[str, object]) -> None:
    assert {name: found[name] for name in expected} == expected


def _succeed_when_cancelled(stand_in: StandIn, command_id: int) -> None:
    """Have a command succeed while the request to cancel it is on its way."""
    deadline = time.monotonic() + 60
    while not stand_in.commands[command_id].cancels and time.monotonic() < deadline:
        time.sleep(0.02)
    stand_in.commands.tell(command_id, "done")


def test_zombies_end_as_their_commands_do(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """What succeeded makes a success before a failure is recorded; what runs is cancelled once; all others fail."""
    commands = {
        "done": command(stand_in, seconds=0),
        "error": command(stand_in, seconds=0, ends="error"),
        "cancelled": command(stand_in, seconds=0, ends="cancelled"),
        "running": command(stand_in, seconds=None),
        "waiting": command(stand_in, seconds=None, waiting=99),
        "slowly_cancelled": command(stand_in, seconds=None, cancelling=1),
        "never_cancelled": command(stand_in, seconds=None, cancelling=None),
        "just_made": command(stand_in, seconds=0, hidden=1),
        "just_in_time": command(stand_in, seconds=None, cancelling=None),
        "retried": command(stand_in, seconds=None),
        "no_success": command(stand_in, seconds=0),
        "callback_raises": command(stand_in, seconds=0, ends="error"),
        "success_callback_raises": command(stand_in, seconds=0),
        "mail_of_success": command(stand_in, seconds=0),
        "mail_of_failure": command(stand_in, seconds=None),
    }
    faulty = {
        "status_401": Fault(status=401),
        "status_403": Fault(status=403),
        "status_404": Fault(status=404),
        "status_429": Fault(status=429),
        "status_500": Fault(status=500),
        "html": Fault("html"),
        "truncated": Fault("truncated"),
        "nothing": Fault("nothing"),
        "late": Fault("slow", delay=60),
    }
    for name, fault in faulty.items():
        commands[name] = command(stand_in, seconds=None)
        fault.path = f"/{commands[name]}$"
        stand_in.faults.add(fault)
    commands["busy_at_first"] = command(stand_in, seconds=0)
    stand_in.faults.add(Fault(status=429, path=f"/{commands['busy_at_first']}$", times=2))
    commands["answer_lost"] = command(stand_in, seconds=None)
    stand_in.faults.add(
        Fault("nothing", method="PUT", path=f"/{commands['answer_lost']}$", times=1, effect=True)
    )
    commands["of_another_account"] = command(stand_in, "other", seconds=None)
    commands["connection_deleted"] = command(stand_in, seconds=None)
    # Where nothing is cancelled, nobody waits for it.
    threading.Thread(
        target=_succeed_when_cancelled, args=(stand_in, commands["just_in_time"]), daemon=True
    ).start()
    told = play(
        airflow_db,
        stand_in.url,
        f"""
from tiny_platform import CheckingOperator
commands = {commands!r}
special = {{
    "retried": {{"retries": 1}},
    "no_success": {{"operator": CheckingOperator}},
    "callback_raises": {{"on_failure_callback": raises}},
    "success_callback_raises": {{"on_success_callback": raises}},
    "connection_deleted": {{"conn_id": "deleted"}},
    "mail_of_success": {{"email": "mail_of_success@x"}},
    "mail_of_failure": {{"email": "mail_of_failure@x"}},
}}
dag = new_dag()
tasks = {{name: new_task(dag, name, **special.get(name, {{}})) for name in commands}}
run_of(dag)
instances = {{name: running(task) for name, task in tasks.items()}}
for name, instance in instances.items():
    push(instance, commands[name])
listed = zombies(*instances.values())
import time
began = time.monotonic()
Bag(dag).kill_zombies(listed)
seconds = time.monotonic() - began
before = len(calls)
Bag(dag).kill_zombies(listed)  # a processor is given the list of the last query again and again
tell(tasks=recorded(dag), seconds=seconds, again=len(calls) - before)
""",
    )
    tasks = told["tasks"]
    for name in ("done", "just_made", "busy_at_first", "just_in_time"):
        _has(tasks[name], {**SUCCESS, "ended": True, "hostname": "node"})
    _has(tasks["success_callback_raises"], {**SUCCESS, "callbacks": []})
    _has(tasks["mail_of_success"], SUCCESS)
    # Upstream's mail takes the line of the log and the row of the failure with it.
    _has(tasks["mail_of_failure"], {"state": "failed", "callbacks": ["mail", "failed"]})
    _has(tasks["retried"], RETRY)
    _has(tasks["callback_raises"], {**FAILED, "callbacks": []})
    no_failure = {
        "done",
        "just_made",
        "busy_at_first",
        "just_in_time",
        "success_callback_raises",
        "mail_of_success",
    }
    for name in set(commands) - no_failure - {"retried", "callback_raises", "mail_of_failure"}:
        _has(tasks[name], FAILED)
    unsettled = {*faulty, "never_cancelled", "of_another_account", "connection_deleted"}
    for name in commands:
        (row,) = tasks[name]["rows"]
        assert (row["ended"] is None) is (name in unsettled), (name, row)
        if name in unsettled:
            assert row["reason"] == "zombie"
            assert row["trouble"]
    assert tasks["never_cancelled"]["rows"][0]["sent"] is True
    once = ("running", "waiting", "slowly_cancelled", "never_cancelled", "retried", "answer_lost", "just_in_time",
            "mail_of_failure")  # fmt: skip
    assert cancels(stand_in) == {commands[name]: 1 for name in once}
    assert told["again"] == 0
    # One after the other, the ten that cannot be asked for would take 30 s.
    assert told["seconds"] < 15


def test_failures_of_a_worker(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """What the operator raises counts for nothing against a command that succeeded, unless it fails on purpose."""
    told = play(
        airflow_db,
        stand_in.url,
        """
from airflow.exceptions import AirflowException, AirflowFailException
from tiny_platform import CheckingOperator
dag = new_dag()
tasks = [
    new_task(dag, "well"),
    new_task(dag, "raises", raises=RuntimeError("no log")),
    new_task(dag, "on_purpose", raises=AirflowFailException("bad data")),
    new_task(dag, "checks", CheckingOperator, raises=AirflowException("bad data")),
]
run_of(dag)
for task in tasks:
    instance = TaskInstance(task, DAY)
    try:
        instance.run(ignore_all_deps=True)
    except Exception as error:
        pass
tell(tasks=recorded(dag))
""",
    )
    tasks = told["tasks"]
    _has(tasks["well"], {"state": "success", "fails": 0, "callbacks": ["success"]})
    _has(tasks["raises"], {"state": "success", "fails": 0, "callbacks": ["success"]})
    _has(tasks["on_purpose"], {"state": "failed", "fails": 1, "callbacks": ["failed"]})
    _has(tasks["checks"], {"state": "failed", "fails": 1, "callbacks": ["failed"]})
    assert {row["ended"] for task in tasks.values() for row in task["rows"]} == {"succeeded"}
    assert cancels(stand_in) == {}


def test_two_connections_in_one_process(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Each command is asked for with the connection that its task was run with, templated or not."""
    mine, theirs = command(stand_in, seconds=None), command(stand_in, "other", seconds=None)
    told = play(
        airflow_db,
        stand_in.url,
        f"""
dag = new_dag()
tasks = [new_task(dag, "mine"), new_task(dag, "theirs", conn_id="{{{{ 'oth' + 'er' }}}}")]
run_of(dag)
mine, theirs = map(running, tasks)
push(mine, {mine})
from airflow.models import XCom
XCom.set("tiny_id", {theirs}, DAY, "theirs", dag.dag_id)  # as a build without the table would
Bag(dag).kill_zombies(zombies(mine, theirs))
tell(tasks=recorded(dag))
""",
        AIRFLOW_CONN_OTHER=connection(stand_in.url, "other"),
        AIRFLOW__CORE__ENABLE_XCOM_PICKLING="False",
    )
    for name, account in (("mine", "main"), ("theirs", "other")):
        _has(told["tasks"][name], FAILED)
        assert told["tasks"][name]["rows"][0]["ended"] == "cancelled"
        assert len(stand_in.requests.all("PUT", account=account)) == 1
    assert told["tasks"]["theirs"]["rows"][0]["connection"] == "other"
    assert not stand_in.requests.all(account="main", path=str(theirs))


def test_without_the_platform_or_its_table(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Mistakes of ours keep Airflow from nothing: the task fails as it would have."""
    told = play(
        airflow_db,
        stand_in.url,
        f"""
from airflow_service.external_commands import settling, table
dag = new_dag()
tasks = [new_task(dag, "broken"), new_task(dag, "no_table")]
run_of(dag)
broken, no_table = map(running, tasks)
push(broken, {command(stand_in, seconds=None)})
settle = settling.Settling.settle
settling.Settling.settle = None
Bag(dag).kill_zombies(zombies(broken))
settling.Settling.settle = settle
table.create = table.metadata.drop_all
push(no_table, {(unnoted := command(stand_in, seconds=None))})
no_table.handle_failure("boom")
tell(tasks=recorded(dag))
""",
        AIRFLOW__CORE__ENABLE_XCOM_PICKLING="False",
    )
    _has(told["tasks"]["broken"], FAILED)
    _has(told["tasks"]["no_table"], FAILED)
    assert cancels(stand_in) == {unnoted: 1}


def test_the_table_comes_and_goes_with_airflows(airflow_db: PatchedAirflow) -> None:
    """It is made with Airflow's tables, and what it holds goes when those are reset."""
    count = "SELECT count(*) FROM external_command"
    with closing(sqlite3.connect(airflow_db.home / "airflow.db")) as database:
        row = "'tiny', 'c', '1', 'd', 't', '', 1, 0.0, 1"
        columns = (
            "platform, connection_id, command_id, dag_id, task_id, execution_date, try_number, started_at, decides"
        )
        database.execute(f"INSERT INTO external_command ({columns}) VALUES ({row})")
        database.commit()
        airflow_db.command("upgradedb")
        assert database.execute(count).fetchone() == (1,)
        airflow_db.command("resetdb", "--yes")
        assert database.execute(count).fetchone() == (0,)
