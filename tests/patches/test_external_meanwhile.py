"""What others do while a try's command is asked about, or settled by them, is neither undone nor done twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from airflow_process import PatchedAirflow
from harness.scenes import cancels, command, play

from stand_in import Fault, StandIn, serving

MEANWHILE = """
from airflow_service import external_commands
from airflow_service.external_commands import claims, settling, table

def change(task_id, **values):
    session = settings.Session.session_factory()
    session.query(TaskInstance).filter(TaskInstance.task_id == task_id).update(values)
    session.commit()
    session.close()

settle = settling.Settling.settle
then = []

def settled(self, rows, reason):
    answers = settle(self, rows, reason)
    for each in then:
        each()
    return answers

settling.Settling.settle = settled
"""


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving() as server:
        yield server


def _succeed_when_asked_for(stand_in: StandIn, command_id: int) -> None:
    deadline = time.monotonic() + 60
    while not stand_in.requests.all("GET") and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    stand_in.commands.tell(command_id, "done")


def test_what_is_recorded_meanwhile_stands(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Asking takes seconds: a person's mark, or another's record, within them is not recorded over."""
    changes = {
        "marked": {"state": "success"},
        "failed_by_another": {"state": "failed"},
        "begun_again": {"state": "running", "_try_number": 2},
        "mistake_of_ours": {"state": "success"},
        "not_begun_here": {"state": "success"},
        "unchanged": {},
    }
    commands = {name: command(stand_in, seconds=0, ends="error") for name in changes}
    told = play(
        airflow_db,
        stand_in.url,
        f"""{MEANWHILE}
changes, commands = {changes!r}, {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name) for name in changes}}
run_of(dag)
for name, task in tasks.items():
    instance = running(task)
    if name != "not_begun_here":
        external_commands.begin(instance)
    push(instance, commands[name])
    then[:] = [lambda: changes[name] and change(name, **changes[name])]
    if name == "mistake_of_ours":
        then.append(lambda: 1 / 0)
    instance.handle_failure("the worker's own failure")
tell(tasks=recorded(dag))
""",
    )
    tasks = told["tasks"]
    assert (tasks["unchanged"]["state"], tasks["unchanged"]["fails"]) == ("failed", 1)
    for name in set(changes) - {"unchanged"}:
        assert tasks[name]["state"] == changes[name]["state"], name
        assert (tasks[name]["fails"], tasks[name]["callbacks"], tasks[name]["events"]) == (0, [], []), name
    assert tasks["begun_again"]["tries"] == 2


def test_what_another_settles_is_waited_for(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A command that is being cancelled elsewhere, and succeeds there, makes its task a success here."""
    settled = command(stand_in, seconds=None)
    threading.Thread(target=_succeed_when_asked_for, args=(stand_in, settled)).start()
    told = play(
        airflow_db,
        stand_in.url,
        f"""{MEANWHILE}
dag = new_dag()
task = new_task(dag, "settled")
run_of(dag)
instance = running(task)
push(instance, {settled})
with settings.engine.begin() as connection:
    claims.claim(connection, table.open_rows(connection), 60)
Bag(dag).kill_zombies(zombies(instance))
tell(tasks=recorded(dag))
""",
    )
    assert told["tasks"]["settled"]["state"] == "success"
    assert cancels(stand_in) == {}


def test_a_try_ends_its_own_commands_alone(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """An earlier try's command is not noted as ended well because a later try has."""
    told = play(
        airflow_db,
        stand_in.url,
        f"""{MEANWHILE}
dag = new_dag()
task = new_task(dag, "twice")
run_of(dag)
push(running(task), {command(stand_in, seconds=None)})
instance = running(task, tries=2)
push(instance, {command(stand_in, seconds=0)})
external_commands.succeeded(instance)
tell(tasks=recorded(dag))
""",
    )
    assert [row["ended"] for row in told["tasks"]["twice"]["rows"]] == [None, "succeeded"]


def test_an_adopted_command_blocks_no_later_try(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """What an XCom alone has, and the platform does not tell of, is passed by once and for all."""
    forgotten = command(stand_in, seconds=None)
    stand_in.faults.add(Fault(status=403, path=f"/{forgotten}$"))
    told = play(
        airflow_db,
        stand_in.url,
        f"""{MEANWHILE}
dag = new_dag()
task = new_task(dag, "adopted")
run_of(dag)
from airflow.models import XCom
XCom.set("tiny_id", {forgotten}, DAY, "adopted", dag.dag_id)  # as a build without the table would
then[:] = [lambda: tell(tasks=recorded(dag))]
errors = []
for number in (2, 3):
    try:
        external_commands.begin(running(task, tries=number))
    except Exception as error:
        errors.append(str(error))
tell(tasks=recorded(dag), errors=errors)
""",
        AIRFLOW__CORE__ENABLE_XCOM_PICKLING="False",
    )
    assert told["errors"] == []


def test_zombies_load_no_other_runs(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """The commands of a DAG's earlier runs, which are kept for weeks, are not read for each zombie."""
    told = play(
        airflow_db,
        stand_in.url,
        f"""{MEANWHILE}
dag = new_dag()
task = new_task(dag, "zombie")
run_of(dag)
instance = running(task)
push(instance, {command(stand_in, seconds=0)})
with settings.engine.begin() as connection:
    [row] = table.open_rows(connection)
    for day in range(50):
        key = table.TaskKey("scenes", "zombie", f"2023-01-01T00:00:00.0000{{day:02}}+00:00")
        table.add(connection, dataclasses.replace(row, command_id=str(day), task=key))
loaded = []
table.Row = lambda *given, made=table.Row: loaded.append(given) or made(*given)
Bag(dag).kill_zombies(zombies(instance))
tell(tasks=recorded(dag), loaded=len(loaded))
""".replace("from airflow_service import", "import dataclasses\nfrom airflow_service import", 1),
    )
    assert told["tasks"]["zombie"]["state"] == "success"
    assert told["loaded"] < 5


def test_a_sweep_spares_what_its_try_leaves_open(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A retry that is scheduled or queued is spared; not for a command that was not the last, nor after a clear."""
    states = {
        "waits": "up_for_retry",
        "scheduled": "scheduled",
        "queued": "queued",
        "runs": "running",
        "not_the_last": "up_for_retry",
        "cleared_meanwhile": "queued",
    }
    commands = {name: command(stand_in, seconds=0) for name in states}
    claimed = command(stand_in, seconds=None)
    told = play(
        airflow_db,
        stand_in.url,
        f"""{MEANWHILE}
from airflow_service.external_commands import reconcile
states, commands = {states!r}, {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name, retries=1) for name in [*states, "claimed"]}}
run_of(dag)
for name, command_id in [*commands.items(), ("claimed", {claimed})]:
    push(running(tasks[name]), command_id)
push(running(tasks["not_the_last"]), {command(stand_in, seconds=0, ends="error")})
rows = table.TABLE
with settings.engine.begin() as connection:
    connection.execute(rows.update().values(wanted_at=1.7e9, reason="failed"))
    claims.claim(connection, [row for row in table.open_rows(connection) if row.task.task_id == "claimed"], 60)
for name, state in states.items():
    change(name, state=state)

def clear():
    with settings.engine.begin() as connection:
        connection.execute(rows.update().where(rows.c.task_id == "cleared_meanwhile").values(reason="cleared"))

then[:] = [clear]
outcomes = [outcome.row.task.task_id for outcome in reconcile.sweep()]
tell(tasks=recorded(dag), outcomes=outcomes)
""",
    )
    ends = {name: task["state"] for name, task in told["tasks"].items() if name != "claimed"}
    spared = dict.fromkeys(("waits", "scheduled", "queued"), "success")
    assert ends == states | spared
    # What another sweep is at is left out.
    assert set(told["outcomes"]) == set(states)
    assert told["tasks"]["claimed"]["rows"][0]["ended"] is None
