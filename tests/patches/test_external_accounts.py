"""What a command's connection leads to: another account, nowhere for long, or to nothing at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from airflow_process import PatchedAirflow
from harness.platforms import connection
from harness.scenes import cancels, command, play

from stand_in import Plan, StandIn, serving


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving() as server:
        yield server


def test_another_accounts_command_is_left_alone(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A connection that leads elsewhere since is neither asked nor told to cancel, and the doctor says why."""
    own = command(stand_in, seconds=None)
    with serving() as other:
        assert command(other, seconds=None) == own
        command(other, seconds=0)
        told = play(
            airflow_db,
            stand_in.url,
            f"""
import os
dag = new_dag()
tasks = [new_task(dag, "runs", retries=3), new_task(dag, "done")]
run_of(dag)
runs, done = map(running, tasks)
push(runs, {own})
push(done, {command(stand_in, seconds=None)})
os.environ["AIRFLOW_CONN_TINY"] = {connection(other.url)!r}
Bag(dag).kill_zombies(zombies(runs, done))
from airflow_service import cli, external_commands
from airflow_service.external_commands import table
code = cli.main(["reconcile"])
try:
    external_commands.begin(running(tasks[0], tries=2))
except Exception as error:
    refused = str(error)
with settings.engine.begin() as database:
    database.execute(table.TABLE.update().values(wanted_at=1.7e9))
from airflow_service.doctor import commands as check
from airflow_service.sources import Configuration
findings = [found.cause for found in check.commands(Configuration.read()) if hasattr(found, "problem")]
first = recorded(dag)
os.environ["AIRFLOW_CONN_TINY"] = {connection(stand_in.url)!r}
tell(tasks=first, code=code, refused=refused, findings=findings, again=cli.main(["reconcile"]))
""",
        )
        assert other.requests.all() == []
    assert {task["fails"] for task in told["tasks"].values()} == {1}
    assert told["tasks"]["done"]["state"] == "failed"
    assert told["code"] == 3
    for text in (told["refused"], *told["findings"], told["tasks"]["done"]["rows"][0]["trouble"]):
        assert f"the connection tiny leads to {other.url}/api; it was started at {stand_in.url}/api" in text
    assert "stand-in-token" not in told["output"]
    assert told["again"] == 0
    assert set(cancels(stand_in).values()) == {1}


def test_an_account_with_several_addresses(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Where its connections say that it is one, a command is cancelled from whichever address."""
    there = stand_in.url.replace("127.0.0.1", "localhost")
    told = play(
        airflow_db,
        stand_in.url,
        f"""
import os
os.environ["AIRFLOW_CONN_TINY"] = {connection(stand_in.url, account="production")!r}
dag = new_dag()
task = new_task(dag, "runs")
run_of(dag)
runs = running(task)
push(runs, {command(stand_in, seconds=None)})
os.environ["AIRFLOW_CONN_TINY"] = {connection(there, account="production")!r}
Bag(dag).kill_zombies(zombies(runs))
tell(tasks=recorded(dag))
""",
    )
    [row] = told["tasks"]["runs"]["rows"]
    assert row["ended"] == "cancelled"
    assert set(cancels(stand_in).values()) == {1}


def test_a_table_of_an_earlier_build(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Its columns are added, and what it knows of is settled as it is."""
    old = command(stand_in, seconds=None)
    with closing(sqlite3.connect(airflow_db.home / "airflow.db")) as database:
        for column in ("account", "called_at", "ended_at"):
            database.execute(f"ALTER TABLE external_command DROP COLUMN {column}")
        columns = "platform, connection_id, command_id, dag_id, task_id, execution_date, try_number, started_at"
        row = f"'tiny', 'tiny', '{old}', 'd', 't', '2024-01-01T00:00:00.000000+00:00', 1, 0.0, 1"
        database.execute(f"INSERT INTO external_command ({columns}, decides) VALUES ({row})")
        database.commit()
    told = play(
        airflow_db,
        stand_in.url,
        """
from airflow_service import cli, external_commands
external_commands.create_table(settings.engine)
external_commands.create_table(settings.engine)
tell(code=cli.main(["reconcile"]), tasks=recorded(new_dag()))
""",
    )
    assert told["code"] == 0
    assert told["tasks"]["t"]["rows"][0]["ended"] == "cancelled"


def test_connections_that_take_long(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A secrets backend that hangs holds up neither the others' commands nor what comes after them."""
    names = ("slow_1", "slow_2", "slow_3", "tiny")
    commands = {name: command(stand_in, seconds=0 if name == "tiny" else None) for name in names}
    told = play(
        airflow_db,
        stand_in.url,
        f"""
import time
from airflow.hooks.base_hook import BaseHook
get = BaseHook.get_connection
commands = {commands!r}
dag = new_dag()
tasks = [new_task(dag, name, conn_id=name) for name in commands]
run_of(dag)
instances = list(map(running, tasks))
BaseHook.get_connection = lambda name: get("tiny")
for instance in instances:
    push(instance, commands[instance.task_id])
BaseHook.get_connection = lambda name: time.sleep(30 if "slow" in name else 0) or get(name)
began = time.monotonic()
Bag(dag).kill_zombies(zombies(*instances))
tell(tasks=recorded(dag), seconds=time.monotonic() - began)
""",
    )
    states = {name: task["state"] for name, task in told["tasks"].items()}
    assert states == {"slow_1": "failed", "slow_2": "failed", "slow_3": "failed", "tiny": "success"}
    assert "could not be had in time" in told["tasks"]["slow_1"]["rows"][0]["trouble"]
    assert told["seconds"] < 15


def test_a_time_out_while_a_command_is_noted(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """It ends the task all the same, and the command is known, and cancelled."""
    stand_in.commands.default = Plan(seconds=8)
    told = play(
        airflow_db,
        stand_in.url,
        """
import datetime, time
from airflow_service.external_commands import table
add = table.add
def busy(*given):
    time.sleep(1.5)  # a database that is locked when the time is up
    return add(*given)
table.add = busy
dag = new_dag()
task = new_task(dag, "late", execution_timeout=datetime.timedelta(seconds=1))
run_of(dag)
try:
    TaskInstance(task, DAY).run(ignore_all_deps=True)
except Exception as error:
    print(error)
tell(tasks=recorded(dag))
""",
    )
    late = told["tasks"]["late"]
    assert (late["state"], late["fails"], late["callbacks"]) == ("failed", 1, ["failed"])
    assert late["rows"][0]["ended"] == "cancelled"
    assert list(cancels(stand_in).values()) == [1]


def test_what_a_person_tests_is_no_trys(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """The command of `airflow test` is neither cancelled by the task's next try nor taken for a zombie's."""
    tested = command(stand_in, seconds=None)
    told = play(
        airflow_db,
        stand_in.url,
        f"""
from airflow_service import external_commands
dag = new_dag()
tasks = [new_task(dag, "begins"), new_task(dag, "zombie")]
run_of(dag)
begins, zombie = running(tasks[0]), running(tasks[1])
for task, number in zip(tasks, ({tested}, {command(stand_in, seconds=0)})):
    instance = TaskInstance(task, DAY)
    instance.test_mode = True
    push(instance, number)
external_commands.begin(begins)
Bag(dag).kill_zombies(zombies(zombie))
tell(tasks=recorded(dag))
""",
    )
    assert told["tasks"]["zombie"]["state"] == "failed"
    assert cancels(stand_in) == {}
