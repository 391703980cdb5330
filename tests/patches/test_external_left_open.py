"""A command whose success is found out after its task's failure: its task gets to know, or it stays open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow_process import PatchedAirflow
from harness.scenes import cancels, command, play

from stand_in import Fault, Plan, StandIn, serving

OPEN = """
from airflow_service import external_commands
from airflow_service.external_commands import reconcile, table

def change(task_id, **values):
    session = settings.Session.session_factory()
    session.query(TaskInstance).filter(TaskInstance.task_id == task_id).update(values)
    session.commit()
    session.close()

def left_open(task_id, state="up_for_retry"):
    "As an outage leaves it when its task fails."
    with settings.engine.begin() as connection:
        mine = table.TABLE.update().where(table.TABLE.c.task_id == task_id)
        connection.execute(mine.values(wanted_at=1.7e9, reason="failed"))
    change(task_id, state=state)
"""


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving() as server:
        server.commands.default = Plan(seconds=0)
        yield server


def test_a_try_that_begins_during_a_sweep(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Between its job's note that it runs, and its own first look, a sweep or its predecessor finds the success."""
    commands = {name: command(stand_in, seconds=0) for name in ("swept", "settled_by_another")}
    told = play(
        airflow_db,
        stand_in.url,
        f"""{OPEN}
commands = {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name, retries=2) for name in commands}}
run_of(dag)
errors = {{}}
for name, task in tasks.items():
    first = running(task)
    external_commands.begin(first)
    push(first, commands[name])
    left_open(name)
    second = TaskInstance(task, DAY)
    assert second._check_and_change_state_before_execution(ignore_all_deps=True)
    if name == "swept":
        reconcile.sweep()
    else:
        first.handle_failure("the first try's worker is back")
    try:
        second._run_raw_task()
    except Exception as error:
        errors[name] = str(error)
tell(tasks=recorded(dag), errors=errors)
""",
    )
    assert len(stand_in.commands) == len(commands)
    for name, task in told["tasks"].items():
        assert "has succeeded after all" in told["errors"][name]
        assert (task["state"], task["fails"], task["callbacks"]) == ("success", 0, ["success"])
        assert [row["ended"] for row in task["rows"]] == ["succeeded"]


def test_a_success_that_cannot_be_recorded_is_not_lost(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Its command stays open for the next sweep, or try, and holds up no other's."""
    commands = {name: command(stand_in, seconds=0) for name in ("first", "second", "worker")}
    told = play(
        airflow_db,
        stand_in.url,
        f"""{OPEN}
from airflow_service.external_commands import recording
commands = {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name, retries=2) for name in commands}}
run_of(dag)
instances = {{name: running(task) for name, task in tasks.items()}}
for name, instance in instances.items():
    push(instance, commands[name])
    if name != "worker":
        left_open(name)
lines, failing = [], []

def broken(*given, **named):
    if not failing:
        failing.append(given)
        raise RuntimeError("the database is locked")
    return Log(*given, **named)

recording.Log = reconcile.Log = broken
instances["worker"].handle_failure("boom")
failing.clear()
lines.append(len(reconcile.sweep()))
between = {{name: task["state"] for name, task in recorded(dag).items()}}
reconcile.sweep()
tell(tasks=recorded(dag), between=between, lines=lines)
""",
    )
    # The worker's own, whose failure was recorded then, is among the three.
    assert told["lines"] == [3]
    assert sorted(told["between"].values()) == ["success", "success", "up_for_retry"]
    assert {task["state"] for task in told["tasks"].values()} == {"success"}
    assert {task["rows"][0]["ended"] for task in told["tasks"].values()} == {"succeeded"}


def test_the_scheduler_asks_nothing_for_what_is_queued(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A queued task that the executor gives up has begun no command: its earlier try's is left to the sweep."""
    stand_in.faults.add(Fault("nothing"))
    told = play(
        airflow_db,
        stand_in.url,
        f"""{OPEN}
from airflow.executors.debug_executor import DebugExecutor
from airflow.jobs import SchedulerJob
dag = new_dag()
task = new_task(dag, "queued", retries=3)
run_of(dag)
push(running(task), {command(stand_in, seconds=None)})
left_open("queued", "queued")

class Executor(DebugExecutor):
    def get_event_buffer(self, ids):
        return {{("scenes", "queued", DAY, 2): "failed"}}

class Found:
    dag_ids = ["scenes"]
    full_filepath = ""
    get_dag = lambda self, dag_id: self

import airflow.models
airflow.models.DagBag = lambda path: Bag_of(dag)
def Bag_of(dag):
    bag = Bag(dag)
    bag.get_dag = bag.dags.get
    return bag
SchedulerJob(executor=Executor())._process_executor_events(Found())
tell(tasks=recorded(dag))
""",
    )
    task = told["tasks"]["queued"]
    assert (task["state"], task["callbacks"]) == ("up_for_retry", ["retry"])
    assert task["rows"][0]["ended"] is None
    assert stand_in.requests.all() == []
    assert cancels(stand_in) == {}
