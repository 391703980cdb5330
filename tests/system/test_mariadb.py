"""The metadata database on MariaDB, by PyMySQL."""

from __future__ import annotations

import json

import pytest
from harness.first_sight import seen_first
from harness.runs import EVERYDAY
from harness.scenes import PLATFORMS, command, environment
from harness.servers import MariaDB
from harness.site import NewSite, Site, complaints

from stand_in import serving

pytestmark = [pytest.mark.slow]

TABLE_OF_COMMANDS = """
import time
from airflow import settings
from airflow_service.external_commands import claims, table
from airflow_service.external_commands.rows import FAILED, Row, TaskKey

for column in ("account", "called_at", "ended_at"):
    settings.engine.execute(f"ALTER TABLE external_command DROP COLUMN {column}")  # as an earlier build has it
table.create(settings.engine)
key = TaskKey("d", "t", "2024-01-01T00:00:00.000001+00:00")
moment = time.time()
rows = [Row(-1, "tiny", "c", str(number), key, number, moment + number, True) for number in (1, 2, 3)]
with settings.engine.begin() as connection:
    assert table.exists(connection)
    for row in rows * 2:
        table.add(connection, row)
with settings.engine.begin() as connection:
    one, two, three = noted = table.of_task(connection, key)
    assert [(row.command_id, row.task, row.decides) for row in noted] == [(row.command_id, key, True) for row in rows]
    assert abs(one.started_at - rows[0].started_at) < 1e-3
    for found in (table.of_tasks(connection, [key]), table.open_rows(connection),
                  table.open_of_tasks(connection, [key]), table.open_of_dag(connection, "d")):
        assert found == noted
    table.want_cancel(connection, [one, two], FAILED)
    table.want_cancel(connection, [table.of_task(connection, key)[0]], "cleared")
    assert [row.reason for row in table.of_task(connection, key)] == ["cleared", "failed", None]
    assert claims.claim(connection, [one, two], 60) == {one.id, two.id}
with settings.engine.begin() as connection:
    assert claims.claim(connection, noted, 60) == {three.id}
    assert claims.free_of(connection, noted) == []
    claims.release(connection, [one.id, two.id])
    assert [row.id for row in claims.free_of(connection, noted)] == [one.id, two.id]
    table.note(connection, one.id, sent=True, trouble="x" * 600)
    table.end(connection, [two.id, three.id], "succeeded")
    assert [row.id for row in table.open_rows(connection)] == [one.id]
    assert [table.claim_callback(connection, three.id) for _ in range(2)] == [True, False]
    assert table.forget_ended(connection, moment - 60) == 0
    connection.execute(table.TABLE.update().where(table.TABLE.c.id == two.id).values(ended_at=moment - 61))
    assert table.forget_ended(connection, moment - 60) == 1
    table.forget(connection, [one.id])
    assert [row.ended for row in table.of_task(connection, key)] == ["succeeded"]
"""
# Two sweeps take the same commands, each in an order of its own.
CLAIMS = """
from concurrent.futures import ThreadPoolExecutor
rows = [Row(-1, "tiny", "c", str(number), key, 9, moment, True) for number in range(100, 140)]
with settings.engine.begin() as connection:
    for row in rows:
        table.add(connection, row)
    rows = [row for row in table.of_task(connection, key) if row.try_number == 9]
def claimed(rows):
    with settings.engine.begin() as connection:
        return claims.claim(connection, rows, 60)
with ThreadPoolExecutor(2) as pool:
    for _ in range(5):
        one, other = pool.map(claimed, [rows, rows[::-1]])
        assert len(one) + len(other) == len(one | other) == len(rows)
        with settings.engine.begin() as connection:
            claims.release(connection, one | other)
with settings.engine.begin() as connection:
    table.forget(connection, [row.id for row in table.of_task(connection, key)])
"""
# Tries whose commands run or have succeeded, ended by the scheduler, the next try, a person and the sweep.
TRIES = """
import scenes
from scenes import *
from airflow.models import clear_task_instances
from airflow_service import cli, external_commands

scenes.DAY = pendulum.create(2024, 1, 1, 0, 0, 0, 123456)
commands = json.loads(sys.argv[1])
dag = new_dag()
tasks = {name: new_task(dag, name, retries=3) for name in commands}
run_of(dag)
instances = {name: running(task) for name, task in tasks.items()}
for name, instance in instances.items():
    push(instance, commands[name])
zombie = [instance for name, instance in instances.items() if name.startswith("zombie")]
Bag(dag).kill_zombies(zombies(*zombie))
Bag(dag).kill_zombies(zombies(*zombie))  # a list that is some seconds old
for name in ("begins_runs", "begins_succeeded"):
    instance = running(tasks[name], tries=2)
    try:
        external_commands.begin(instance)
    except Exception as error:
        instance.handle_failure(error)
session = settings.Session()
cleared = session.query(TaskInstance).filter(TaskInstance.task_id == "cleared").all()
clear_task_instances(cleared, session, dag=dag)
for instance in session.query(TaskInstance).filter(TaskInstance.task_id.like("swept%")):
    instance.state = State.UP_FOR_RETRY
session.commit()
session.close()
from airflow_service.external_commands import table
with settings.engine.begin() as connection:
    table.want_cancel(connection, [row for row in table.open_rows(connection) if "swept" in row.task.task_id], "failed")
tell(code=cli.main(["reconcile"]), again=cli.main(["reconcile"]), tasks=recorded(dag))
"""
# Of each task: its state, its failures, how its command ended, and how often that was cancelled.
ENDS = {
    "zombie_runs": ("up_for_retry", 1, "cancelled", 1),
    "zombie_succeeded": ("success", 0, "succeeded", 0),
    "begins_runs": ("running", 0, None, 1),
    "begins_succeeded": ("running", 0, None, 0),
    "cleared": ("running", 0, "cancelled", 1),
    "swept_runs": ("up_for_retry", 0, "cancelled", 1),
    "swept_succeeded": ("success", 0, "succeeded", 0),
}


def test_backfill(new_site: NewSite, mariadb: MariaDB) -> None:
    """Schema, times with fractions of a second, locks, a backfill with parallel tasks, and outside commands."""
    site = new_site(
        "mariadb",
        AIRFLOW__CORE__SQL_ALCHEMY_CONN=mariadb.create("backfill"),
        AIRFLOW__CORE__EXECUTOR="LocalExecutor",
    )
    made = site.run("initdb")
    again = site.run("upgradedb")
    done = site.run("backfill", "everyday", "--start_date", "2024-01-01", "--end_date", "2024-01-01")
    assert site.task_states("everyday") == EVERYDAY
    assert site.run_states("everyday") == ["success"]
    # It compares without case and accents: who cannot be told from another is refused.
    ann, *alike = seen_first(site, beyond_utf8mb3=False)
    assert isinstance(ann, int)
    assert alike == ["user"] * 2
    site.run("-c", TABLE_OF_COMMANDS + CLAIMS, command="python")
    assert _ends_of_tries(site) == ENDS
    assert complaints(*(text for run in (made, again, done) for text in (run.stdout, run.stderr))) == []


def _ends_of_tries(site: Site) -> dict[str, tuple[str, int, str | None, int]]:
    with serving() as stand_in:
        site.settings |= environment(stand_in.url, str(PLATFORMS))
        made = {name: command(stand_in, seconds=0 if "succeeded" in name else None) for name in ENDS}
        done = site.run("-c", TRIES, json.dumps(made), command="python")
        told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
        assert (told["code"], told["again"]) == (0, 0)
        return {
            name: (
                task["state"],
                task["fails"],
                task["rows"][0]["ended"] if task["rows"] else None,
                stand_in.commands[made[name]].cancels,
            )
            for name, task in told["tasks"].items()
        }
