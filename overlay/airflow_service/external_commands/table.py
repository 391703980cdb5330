"""The table of commands that tasks have started on outside platforms.

It is written when an operator pushes its command's id, and so knows of a command whatever becomes of
its task's XComs, worker, DAG, or DAG file. It is a table of this distribution's own: no migration of
Airflow's knows it, and `airflow delete_dag`, which empties the tables that Airflow maps, passes it by.
Times are seconds since 1970, UTC.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from airflow.models.base import Base
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, func, inspect, select

from airflow_service.external_commands.rows import OWN_REASONS, Row, TaskKey

log = logging.getLogger(__name__)

_ID = String(250)
metadata = MetaData(schema=Base.metadata.schema)
TABLE = Table(
    "external_command",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("platform", String(50), nullable=False),
    Column("connection_id", _ID, nullable=False),
    Column("command_id", _ID, nullable=False),
    Column("dag_id", _ID, nullable=False),
    Column("task_id", _ID, nullable=False),
    # As text, to the microsecond, which not every database keeps in its own type.
    Column("execution_date", String(32), nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("started_at", Float(53), nullable=False),
    # Whether the task is a success as soon as the command is.
    Column("decides", Integer, nullable=False),
    # Since when it is to be cancelled, and why; without, its task is at work.
    Column("wanted_at", Float(53)),
    Column("reason", String(20)),
    Column("sent_at", Float(53)),
    Column("trouble", String(500)),
    # Who is settling it, so that nobody else cancels it too.
    Column("claimed_by", String(32)),
    Column("claimed_until", Float(53)),
    # How it ended: a State's value, "forgotten" or "tested"; without, it is open.
    Column("ended", String(20)),
    Column("ended_at", Float(53)),
    # Which account the connection led to when the command was started; without, it is not known.
    Column("account", _ID),
    # Since when a process has its success to call back.
    Column("called_at", Float(53)),
    Index("external_command_task", "dag_id", "task_id", "execution_date"),
    Index("external_command_ended", "ended"),
)
_CHUNK = 500
"""Ids in one statement; SQLite once took no more than 999."""
_FEW = 300
"""Task instances in one statement, of which each may have three texts."""


def create(engine: Any) -> None:
    """Make the table unless it is there; safe to be done by several at once."""
    try:
        metadata.create_all(engine, checkfirst=True)
    except Exception:
        if not exists(engine):  # else somebody else was faster
            raise
    for column in _missing(engine):
        try:
            with engine.begin() as connection:
                Operations(MigrationContext.configure(connection)).add_column(
                    TABLE.name, column, schema=TABLE.schema
                )
        except Exception:
            if column in _missing(engine):
                raise


def _missing(engine: Any) -> list[Any]:
    """Columns that a table of an earlier build lacks; none of them has to have a value."""
    present = {column["name"] for column in inspect(engine).get_columns(TABLE.name, schema=TABLE.schema)}
    return [Column(column.name, column.type) for column in TABLE.columns if column.name not in present]


def exists(bind: Any) -> bool:
    """Tell whether the table is there; `bind` is an engine or a connection."""
    present: bool = inspect(bind).has_table(TABLE.name, schema=TABLE.schema)
    return present


def add(connection: Any, row: Row) -> None:
    """Note a command that was started, whose row has no id yet; once, however often it is told."""
    known = select(TABLE.c.id).where(
        *_of(row.task),
        TABLE.c.platform == row.platform,
        TABLE.c.command_id == row.command_id,
        TABLE.c.try_number == row.try_number,
    )
    if connection.execute(known).first() is None:
        connection.execute(
            TABLE.insert().values(
                platform=row.platform, connection_id=row.connection_id, command_id=row.command_id,
                dag_id=row.task.dag_id, task_id=row.task.task_id, execution_date=row.task.execution_date,
                try_number=row.try_number, started_at=row.started_at, decides=int(row.decides),
                account=row.account, ended=row.ended,
            )
        )  # fmt: skip


def of_task(connection: Any, task: TaskKey) -> list[Row]:
    """Give the commands of a task instance, open and ended, in the order in which they were started."""
    return rows_where(connection, *_of(task))


def of_tasks(connection: Any, tasks: Iterable[TaskKey]) -> list[Row]:
    """Give the commands of some task instances, open and ended, each one's in the order in which they were started."""
    wanted = sorted(set(tasks), key=lambda task: (task.dag_id, task.execution_date, task.task_id))
    found: list[Row] = []
    for start in range(0, len(wanted), _FEW):
        keys = set(wanted[start : start + _FEW])
        # Pairs of columns are not compared with pairs by every database, and hundreds of alternatives by none well.
        loaded = rows_where(
            connection,
            TABLE.c.dag_id.in_(sorted({key.dag_id for key in keys})),
            TABLE.c.task_id.in_(sorted({key.task_id for key in keys})),
            TABLE.c.execution_date.in_(sorted({key.execution_date for key in keys})),
        )
        found += [row for row in loaded if row.task in keys]
    return found


def open_rows(connection: Any) -> list[Row]:
    """Give all commands that are not known to have ended, oldest first."""
    return rows_where(connection, TABLE.c.ended.is_(None))


def open_of_tasks(connection: Any, tasks: Iterable[TaskKey]) -> list[Row]:
    """Give the open commands of some task instances."""
    wanted = set(tasks)
    return [row for row in open_rows(connection) if row.task in wanted]


def open_of_dag(connection: Any, dag_id: str) -> list[Row]:
    """Give the open commands of a DAG and of its sub-DAGs."""
    return [
        row
        for row in open_rows(connection)
        if row.task.dag_id == dag_id or row.task.dag_id.startswith(f"{dag_id}.")
    ]


def want_cancel(connection: Any, rows: Iterable[Row], reason: str) -> None:
    """Note that commands are to be cancelled; the first reason stays, unless a person now gives one."""
    now = time.time()
    update(connection, [row.id for row in rows if row.wanted_at is None], wanted_at=now, reason=reason)
    if reason not in OWN_REASONS:
        update(connection, [row.id for row in rows if row.wanted_at is not None], reason=reason)


def note(connection: Any, row_id: int, *, sent: bool, trouble: str) -> None:
    """Note how far the settling of a command has come."""
    values: dict[str, Any] = {"trouble": trouble[:500]}
    if sent:
        values["sent_at"] = time.time()
    update(connection, [row_id], **values)


def claim_callback(connection: Any, row_id: int) -> bool:
    """Take the calling back of a command's success; False if somebody has it already."""
    taken = connection.execute(
        TABLE.update().where(TABLE.c.id == row_id, TABLE.c.called_at.is_(None)).values(called_at=time.time())
    )
    return bool(taken.rowcount == 1)


def end(connection: Any, ids: Iterable[int], ended: str) -> None:
    """Note that commands have come to their end."""
    update(connection, list(ids), ended=ended, ended_at=time.time(), claimed_by=None, claimed_until=None, trouble=None)


def forget(connection: Any, ids: Iterable[int]) -> None:
    """Delete rows."""
    for chunk in chunks(list(ids)):
        connection.execute(TABLE.delete().where(TABLE.c.id.in_(chunk)))


def forget_ended(connection: Any, before: float) -> int:
    """Delete the rows of commands that ended before that time; how many."""
    moment = func.coalesce(TABLE.c.ended_at, TABLE.c.started_at)
    deleted = connection.execute(TABLE.delete().where(TABLE.c.ended.isnot(None), moment < before))
    count: int = deleted.rowcount
    return count


def _of(task: TaskKey) -> tuple[Any, ...]:
    return (
        TABLE.c.dag_id == task.dag_id,
        TABLE.c.task_id == task.task_id,
        TABLE.c.execution_date == task.execution_date,
    )


def rows_where(connection: Any, *conditions: Any) -> list[Row]:
    """Give the commands of which all conditions hold, oldest first."""
    found = connection.execute(select(TABLE).where(*conditions).order_by(TABLE.c.started_at, TABLE.c.id))
    return [
        Row(
            each.id, each.platform, each.connection_id, each.command_id,
            TaskKey(each.dag_id, each.task_id, each.execution_date), each.try_number, each.started_at,
            bool(each.decides), each.wanted_at, each.reason, each.sent_at, each.trouble, each.ended,
            each.account,
        )
        for each in found
    ]  # fmt: skip


def update(connection: Any, ids: list[int], **values: Any) -> None:
    """Set columns of rows."""
    for chunk in chunks(ids):
        connection.execute(TABLE.update().where(TABLE.c.id.in_(chunk)).values(**values))


def chunks(ids: list[int]) -> list[list[int]]:
    """Give ids in pieces that a statement has room for."""
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
