"""A command of one try is no trouble for the next, nor one that a person has done with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow_process import PatchedAirflow
from harness.scenes import cancels, command, play

from stand_in import Fault, Plan, StandIn, serving


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving({"stand-in-token": "main", "other": "other"}) as server:
        yield server


RETRY = """
def run(task):
    instance = TaskInstance(task, DAY)
    try:
        instance.run(ignore_all_deps=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def test_the_next_try_starts_no_second_command(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """What the try before left is settled first; if that cannot be, the try fails and says so."""
    stand_in.commands.default = Plan(seconds=0)
    names = ("cut_off", "back_again", "succeeded_since", "cleared_since")
    commands = {name: command(stand_in, seconds=0 if "since" in name else None) for name in names}
    told = play(
        airflow_db,
        stand_in.url,
        f"""{RETRY}
import tiny_platform
from airflow.models import clear_task_instances

def cut_off(*given, **named):
    raise tiny_platform.Unreachable("no way there")

ask, tiny_platform.Client.ask = tiny_platform.Client.ask, cut_off
commands = {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name, retries=3) for name in commands}}
run_of(dag)
instances = {{name: running(task) for name, task in tasks.items()}}
for name, instance in instances.items():
    push(instance, commands[name])
Bag(dag).kill_zombies(zombies(*instances.values()))
first = recorded(dag)
errors = {{"cut_off": run(tasks["cut_off"])}}
tiny_platform.Client.ask = ask
session = settings.Session()
cleared = session.query(TaskInstance).filter(TaskInstance.task_id == "cleared_since").all()
clear_task_instances(cleared, session, dag=dag)
session.commit()
errors.update((name, run(tasks[name])) for name in ("succeeded_since", "cleared_since", "back_again"))
tell(first=first, tasks=recorded(dag), errors=errors)
""",
        AIRFLOW__SERVICE__EXTERNAL_COMMAND_TIMEOUT="1",
    )
    tasks, errors = told["tasks"], told["errors"]
    assert {each["state"] for each in told["first"].values()} == {"up_for_retry"}
    assert "may still run" in errors["cut_off"]
    assert tasks["cut_off"]["state"] == "up_for_retry"
    assert [row["command"] for row in tasks["cut_off"]["rows"]] == [str(commands["cut_off"])]
    assert "has succeeded after all" in errors["succeeded_since"]
    assert tasks["succeeded_since"]["state"] == "success"
    assert errors["cleared_since"] is errors["back_again"] is None
    assert tasks["cleared_since"]["state"] == tasks["back_again"]["state"] == "success"
    assert cancels(stand_in) == {commands["back_again"]: 1}
    # Two that were run again, and none beside another.
    assert len(stand_in.commands) == len(commands) + 2


WISHES = """
from airflow.api.common.experimental import delete_dag, mark_tasks
from airflow.models import clear_task_instances
dags = {name: new_dag(name) for name in ("cleared", "failed", "success", "deleted", "kept")}
instances = {}
for name, dag in dags.items():
    task = new_task(dag, name)
    run_of(dag)
    instances[name] = running(task)
    push(instances[name], commands[name])
session = settings.Session()
clear_task_instances(session.query(TaskInstance).filter(TaskInstance.dag_id == "cleared").all(), session)
session.commit()
for state in ("failed", "success"):
    mark_tasks.set_state(dags[state].tasks, DAY, state=state, commit=True)
mark_tasks.set_state(dags["kept"].tasks, DAY, state="failed", commit=False)
delete_dag.delete_dag("deleted")
"""


def test_what_a_person_does_is_remembered(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Clear, mark and delete ask nothing of the platform themselves; a sweep cancels, once, whatever the worker."""
    names = ("cleared", "failed", "success", "deleted", "kept")
    commands = {name: command(stand_in, seconds=None) for name in names}
    told = play(
        airflow_db,
        stand_in.url,
        f"""
commands = {commands!r}
{WISHES}
import urllib.request, json
asked = json.load(urllib.request.urlopen("{stand_in.url}/_control/requests"))
from airflow_service import cli
codes = [cli.main(["reconcile"]), cli.main(["reconcile", "--json"])]
rows = {{name: recorded(dag)[name]["rows"][0] for name, dag in dags.items()}}
tell(rows=rows, asked=asked, codes=codes)
""",
    )
    rows = told["rows"]
    assert told["asked"] == []
    assert told["codes"] == [0, 0]
    assert {name: (row["ended"], row["reason"]) for name, row in rows.items()} == {
        "cleared": ("cancelled", "cleared"),
        "failed": ("cancelled", "marked failed"),
        "success": ("cancelled", "marked success"),
        "deleted": ("cancelled", "deleted"),
        "kept": (None, None),
    }
    assert cancels(stand_in) == {commands[name]: 1 for name in names if name != "kept"}


def test_the_sweep(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """It goes on until each is settled, tells of what is not, spares a retry, and finds what nobody looks after."""
    names = ("unreachable", "refused", "orphan", "at_work", "ended_unnoted", "retried", "failed")
    commands = {
        name: command(stand_in, seconds=0 if name in ("ended_unnoted", "retried", "failed") else None)
        for name in names
    }
    stand_in.faults.add(Fault(status=503, path=f"/{commands['unreachable']}$"))
    stand_in.faults.add(Fault(status=403, path=f"/{commands['refused']}$"))
    told = play(
        airflow_db,
        stand_in.url,
        f"""
commands = {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name, retries=1) for name in commands}}
run_of(dag)
instances = {{name: running(task) for name, task in tasks.items()}}
for name, instance in instances.items():
    push(instance, commands[name])
from airflow_service.external_commands import table, reconcile
from airflow_service import cli
states = {{"unreachable": "failed", "refused": "failed", "orphan": None, "ended_unnoted": "success",
          "retried": "up_for_retry", "failed": "failed"}}
session = settings.Session()
for name, state in states.items():
    session.query(TaskInstance).filter(TaskInstance.task_id == name).update({{"state": state}})
session.execute(table.TABLE.update().values(started_at=1.7e9))
session.execute(table.TABLE.update().where(table.TABLE.c.task_id.in_(["unreachable", "refused", "retried", "failed"]))
                .values(wanted_at=1.7e9, reason="failed"))
session.commit()
outcomes = [outcome.as_json() for outcome in reconcile.sweep()]
code = cli.main(["reconcile"])
from airflow_service.doctor import commands as check
from airflow_service.sources import Configuration
problems = [found.problem for found in check.commands(Configuration.read()) if hasattr(found, "problem")]
ids = {{outcome["task_id"]: str(outcome["id"]) for outcome in outcomes}}
forgotten = [cli.main(["reconcile", "--forget", ids["refused"]]), cli.main(["reconcile", "--forget", "4711"])]
tell(tasks=recorded(dag), outcomes=outcomes, code=code, forgotten=forgotten, problems=problems)
""",
        AIRFLOW__SERVICE__EXTERNAL_COMMAND_TIMEOUT="1.5",
    )
    outcomes = {outcome["task_id"]: outcome for outcome in told["outcomes"]}
    assert set(outcomes) == {"unreachable", "refused", "orphan", "retried", "failed"}
    assert {name for name, outcome in outcomes.items() if not outcome["settled"]} == {
        "unreachable",
        "refused",
    }
    assert "503" in outcomes["unreachable"]["trouble"]
    assert "403" in outcomes["refused"]["trouble"]
    assert outcomes["refused"]["open_for_seconds"] > 86400
    assert told["code"] == 3
    (problem,) = told["problems"]
    assert "2 commands on outside platforms are to be cancelled" in problem
    assert told["forgotten"] == [0, 2]
    assert {name: task["rows"][0]["ended"] for name, task in told["tasks"].items()} == {
        "unreachable": None, "refused": "forgotten", "at_work": None, "orphan": "cancelled",
        "ended_unnoted": "succeeded", "retried": "succeeded", "failed": "succeeded",
    }  # fmt: skip
    states = {name: task["state"] for name, task in told["tasks"].items()}
    assert states["retried"] == "success"
    assert states["failed"] == "failed"
    assert cancels(stand_in) == {commands["orphan"]: 1}


def test_killed_tasks(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A kill and a time-out cancel the command, once, and have a derived operator clean up what is its own."""
    stand_in.commands.default = Plan(seconds=None)
    told = play(
        airflow_db,
        stand_in.url,
        """
import datetime, os, signal, threading
from tiny_platform import TidyOperator
dag = new_dag()
tasks = [
    new_task(dag, "killed"),
    new_task(dag, "tidy", TidyOperator),
    new_task(dag, "late", execution_timeout=datetime.timedelta(seconds=1)),
    new_task(dag, "marked"),
]
run_of(dag)
def marked():
    from airflow.api.common.experimental import mark_tasks
    mark_tasks.set_state([tasks[3]], DAY, state="failed", commit=True)
for task in tasks:
    if task.task_id == "marked":
        threading.Timer(0.7, marked).start()
    if task.task_id != "late":
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        TaskInstance(task, DAY).run(ignore_all_deps=True)
    except Exception as error:
        print(error)
tell(tasks=recorded(dag))
""",
    )
    assert {name: task["state"] for name, task in told["tasks"].items()} == dict.fromkeys(
        ("killed", "tidy", "late", "marked"), "failed"
    )
    assert {row["ended"] for task in told["tasks"].values() for row in task["rows"]} == {"cancelled"}
    assert [each.cancels for each in stand_in.commands] == [1, 1, 1, 1]
    assert "tidied up" in told["output"]
    assert "the operator's own on_kill" not in told["output"]


def test_handled_once(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """A worker that comes back after its task was handled records nothing, and cancels nobody else's command."""
    first, second = command(stand_in, seconds=0), command(stand_in, seconds=None)
    told = play(
        airflow_db,
        stand_in.url,
        f"""
dag = new_dag()
tasks = [new_task(dag, "success"), new_task(dag, "second_try", retries=2)]
run_of(dag)
from airflow_service import external_commands
handled = {{}}
for task, command_id in zip(tasks, ({first}, {command(stand_in, seconds=0, ends="error")})):
    mine = running(task)
    external_commands.begin(mine)
    push(mine, command_id)
    Bag(dag).kill_zombies(zombies(mine))
    if task.task_id == "second_try":
        other = running(task, tries=2)
        external_commands.begin(other)
        push(other, {second})
    before = recorded(dag)[task.task_id]
    mine.refresh_from_db()  # as _run_raw_task does
    mine.handle_failure("the worker is back")
    handled[task.task_id] = [before, recorded(dag)[task.task_id]]
tell(handled=handled)
""",
    )
    for before, after in told["handled"].values():
        assert before == after
    assert told["handled"]["success"][1]["state"] == "success"
    assert told["handled"]["second_try"][1]["state"] == "running"
    assert cancels(stand_in) == {}
