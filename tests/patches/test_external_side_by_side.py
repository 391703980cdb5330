"""Zombies and sweeps: what is wrong with one command is not the others' trouble, and is told of."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from airflow_process import PatchedAirflow
from harness.scenes import command, play

from stand_in import Fault, StandIn, serving


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving() as server:
        yield server


def test_one_bad_zombie(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A zombie whose command cannot even be looked for fails, and all others are settled by one time-out."""
    lost = {f"lost_{number}": command(stand_in, seconds=None) for number in range(3)}
    for number in lost.values():
        stand_in.faults.add(Fault("nothing", path=f"/{number}$"))
    told = play(
        airflow_db,
        stand_in.url,
        f"""
from airflow.models import XCom
from airflow_service.external_commands import settling
settle, settled = settling.Settling.settle, []
settling.Settling.settle = lambda *given: settled.append(given) or settle(*given)
lost = {lost!r}
dag = new_dag()
tasks = [new_task(dag, name) for name in [*lost, "rescued"]]
tasks.append(new_task(dag, "bad", conn_id="{{{{ nothing.here.at_all }}}}"))
run_of(dag)
instances = list(map(running, tasks))
for instance in instances[:3]:
    push(instance, lost[instance.task_id])
push(instances[3], {command(stand_in, seconds=0)})
XCom.set("tiny_id", {command(stand_in, seconds=None)}, DAY, "bad", "scenes")
Bag(dag).kill_zombies(zombies(*instances))
tell(tasks=recorded(dag), settled=len(settled))
""",
        AIRFLOW__CORE__ENABLE_XCOM_PICKLING="False",
    )
    states = {name: task["state"] for name, task in told["tasks"].items()}
    assert states == {**dict.fromkeys([*lost, "bad"], "failed"), "rescued": "success"}
    assert told["settled"] == 1
    # The scheduler's own log is all that there is: these tasks have none any more.
    said = re.sub(r"\x1b\[\d+m", "", told["output"])
    for number in lost.values():
        assert f"`airflow-service reconcile` goes on with the tiny command {number} of scenes" in said
    assert re.search(r"of scenes.rescued of .* has succeeded, and so has its task: marking it as SUCCESS", said)


def test_an_accepted_cancel_is_not_forgotten(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """One whose answer, or last look, comes after the time-out is noted as sent, and not sent a second time."""
    slow = command(stand_in, seconds=None, cancelling=60)
    stand_in.faults.add(Fault("slow", method="PUT", delay=3.2))
    told = play(
        airflow_db,
        stand_in.url,
        f"""
import time
from airflow_service.external_commands import reconcile, table
dag = new_dag()
task = new_task(dag, "slow")
run_of(dag)
instance = running(task)
push(instance, {slow})
Bag(dag).kill_zombies(zombies(instance))
first = recorded(dag)["slow"]["rows"][0]
at_once = len(reconcile.sweep())
with settings.engine.begin() as connection:
    connection.execute(table.TABLE.update().values(claimed_until=0))
reconcile.sweep()
time.sleep(0.5)
tell(first=first, at_once=at_once)
""",
        AIRFLOW__SERVICE__EXTERNAL_COMMAND_TIMEOUT="2",
        AIRFLOW__SERVICE__EXTERNAL_COMMAND_REQUEST_TIMEOUT="10",
    )
    assert told["first"]["sent"] is True
    assert told["first"]["ended"] is None
    # A thread of the first process is at it still.
    assert told["at_once"] == 0
    assert len(stand_in.requests.all("PUT")) == 1


def test_a_sweep_has_an_end(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """What it has no time for is told of, and comes first in the next; what has ended is kept for 30 days more."""
    names = ("asked_in_vain", "first", "second")
    commands = {name: command(stand_in, seconds=None) for name in names}
    stand_in.faults.add(Fault(status=403, path=f"/{commands['asked_in_vain']}$"))
    told = play(
        airflow_db,
        stand_in.url,
        f"""
from airflow_service.external_commands import reconcile, table
commands = {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name) for name in commands}}
run_of(dag)
for name, task in tasks.items():
    push(running(task), commands[name])
rows = table.TABLE
with settings.engine.begin() as connection:
    connection.execute(rows.update().values(wanted_at=1.7e9, started_at=1.7e9, reason="failed"))
    connection.execute(rows.update().where(rows.c.task_id == "asked_in_vain").values(trouble="503"))
reconcile.THREADS, reconcile._LONGEST = 2, 0
lines = [str(outcome) for outcome in reconcile.sweep()]
kept = [row["ended"] for task in recorded(dag).values() for row in task["rows"]]
with settings.engine.begin() as connection:
    connection.execute(rows.update().where(rows.c.ended.isnot(None)).values(ended_at=1.7e9))
reconcile.sweep()
left = [row["ended"] for task in recorded(dag).values() for row in task["rows"]]
tell(lines=lines, kept=kept, left=left)
""",
    )
    assert ["no time left" in line for line in told["lines"]] == [True, False, False]
    assert sorted(told["kept"], key=str) == [None, "cancelled", "cancelled"]
    assert told["left"] == [None]
