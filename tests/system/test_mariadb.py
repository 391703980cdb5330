"""The metadata database on MariaDB, by PyMySQL."""

from __future__ import annotations

import pytest
from harness.first_sight import seen_first
from harness.runs import EVERYDAY
from harness.servers import MariaDB
from harness.site import NewSite, complaints

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


def test_backfill(new_site: NewSite, mariadb: MariaDB) -> None:
    """Schema, times with fractions of a second, locks and results of a backfill with parallel tasks."""
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
    site.run("-c", TABLE_OF_COMMANDS, command="python")
    assert complaints(*(text for run in (made, again, done) for text in (run.stdout, run.stderr))) == []
