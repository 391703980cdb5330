"""The callbacks of a task whose command decides are called once, whichever of its processes comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow_process import PatchedAirflow
from harness.scenes import cancels, command, play

from stand_in import Plan, StandIn, serving

JOB = """
from airflow.jobs import LocalTaskJob

class Runner:
    "A raw process that lives."
    process = object()
    terminated = 0

    def return_code(self):
        return None

    def terminate(self):
        self.terminated += 1

def job_of(task):
    "A worker's job, which looks at its task every few seconds, and has begun it."
    job = LocalTaskJob(TaskInstance(task, DAY))
    job.task_runner = Runner()
    return job
"""


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving() as server:
        yield server


def test_a_job_that_comes_back_calls_nothing_again(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """What the scheduler has recorded, it has called back as well; after a person's mark that is the job's to do."""
    commands = {"done": command(stand_in, seconds=0), "error": command(stand_in, seconds=0, ends="error")}
    told = play(
        airflow_db,
        stand_in.url,
        f"""{JOB}
from airflow.api.common.experimental import mark_tasks
commands = {commands!r}
dag = new_dag()
tasks = {{name: new_task(dag, name) for name in [*commands, "marked"]}}
run_of(dag)
jobs = {{name: job_of(task) for name, task in tasks.items()}}
for name, task in tasks.items():
    instance = running(task)
    if name == "marked":
        mark_tasks.set_state([task], DAY, state="success", commit=True)
    else:
        push(instance, commands[name])
        Bag(dag).kill_zombies(zombies(instance))
    jobs[name].heartbeat_callback()
tell(tasks=recorded(dag), terminated={{name: job.task_runner.terminated for name, job in jobs.items()}})
""",
    )
    callbacks = {name: task["callbacks"] for name, task in told["tasks"].items()}
    assert callbacks == {"done": ["success"], "error": ["failed"], "marked": ["success"]}
    assert told["terminated"] == dict.fromkeys(callbacks, 1)


def test_a_worker_ends_its_callback_undisturbed(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Its job leaves it in peace, and a scheduler that takes it for a zombie meanwhile calls nothing again."""
    stand_in.commands.default = Plan(seconds=0)
    told = play(
        airflow_db,
        stand_in.url,
        f"""{JOB}
def meanwhile(context):
    called("success")(context)
    job.heartbeat_callback()
    seen.append(recorded(dag)["t"]["state"])
    Bag(dag).kill_zombies(zombies(context["ti"]))

dag = new_dag()
task = new_task(dag, "t", raises=RuntimeError("the poll failed"), on_success_callback=meanwhile)
run_of(dag)
job, seen = job_of(task), []
import os
from airflow.utils.net import get_hostname
instance = running(task)
session = settings.Session()
session.query(TaskInstance).update({{"hostname": get_hostname(), "pid": os.getpid()}})
session.commit()
try:
    instance._run_raw_task()
except RuntimeError:
    pass
tell(task=recorded(dag)["t"], seen=seen, terminated=job.task_runner.terminated)
""",
    )
    assert told["task"]["callbacks"] == ["success"]
    assert told["task"]["state"] == "success"
    assert told["task"]["fails"] == told["terminated"] == 0
    assert told["seen"] == ["running"]


def test_a_frozen_worker_ends_well_too_late(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """What was recorded while it was frozen stands, and is called back once, also if its operator then ends well."""
    told = play(
        airflow_db,
        stand_in.url,
        f"""
class Frozen(TinyOperator):
    def execute(self, context):
        ti = context["ti"]
        ti.xcom_push(key="tiny_id", value=int(self.name))
        if ti.task_id == "marked_success":
            change(ti.task_id, state="success")
        elif ti.task_id == "marked_failed":
            change(ti.task_id, state="failed")
        else:
            Bag(dag).kill_zombies(zombies(ti))

def change(task_id, **values):
    session = settings.Session.session_factory()
    session.query(TaskInstance).filter(TaskInstance.task_id == task_id).update(values)
    session.commit()
    session.close()

dag = new_dag()
ids = {{"done": {command(stand_in, seconds=0)}, "failed": {command(stand_in, seconds=None)},
       "retried": {command(stand_in, seconds=None)}, "marked_success": {command(stand_in, seconds=0)},
       "marked_failed": {command(stand_in, seconds=0)}}}
tasks = {{name: new_task(dag, name, Frozen, name=str(number), retries=int(name == "retried"))
         for name, number in ids.items()}}
run_of(dag)
for task in tasks.values():
    running(task)._run_raw_task()
tell(tasks=recorded(dag))
""",
    )
    found = {name: (task["state"], task["callbacks"]) for name, task in told["tasks"].items()}
    assert found == {
        "done": ("success", ["success"]),
        "failed": ("failed", ["failed"]),
        "retried": ("up_for_retry", ["retry"]),
        # Upstream's worker calls it, unless its job has seen the mark before.
        "marked_success": ("success", ["success"]),
        "marked_failed": ("failed", []),
    }
    assert set(cancels(stand_in).values()) == {1}


def test_a_kill_that_comes_when_the_next_try_has_begun(airflow_db: PatchedAirflow, stand_in: StandIn) -> None:
    """Its command was settled before, and is not cancelled again, neither by us nor by the operator."""
    told = play(
        airflow_db,
        stand_in.url,
        f"""
from airflow_service import external_commands
dag = new_dag()
task = new_task(dag, "runs", retries=1)
run_of(dag)
first = running(task)
external_commands.begin(first)
push(first, {command(stand_in, seconds=None)})
Bag(dag).kill_zombies(zombies(first))
second = running(task, tries=2)
external_commands.begin(second)
second.clear_xcom_data()
killed = []
task.on_kill = lambda: killed.append(1)
external_commands.on_kill(first, task)
tell(killed=killed)
""",
    )
    assert told["killed"] == []
    assert set(cancels(stand_in).values()) == {1}
