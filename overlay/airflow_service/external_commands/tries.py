"""What a task's try has to do with its commands: when it starts one, ends, fails, and is killed.

All of it is called from hooks in Airflow's own handling of task instances, by way of this package's
functions, which let no exception of ours through.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from airflow import settings

from airflow_service.external_commands import table
from airflow_service.external_commands.asking import Answer
from airflow_service.external_commands.own_rows import (
    OWN_CONNECTION,
    OWN_TRY,
    new_row,
    own_rows,
    platform_of,
    rows_of,
)
from airflow_service.external_commands.platform import Platform, State
from airflow_service.external_commands.recording import handled, is_current, record_success
from airflow_service.external_commands.settling import Settling
from airflow_service.external_commands.table import Row, TaskKey

ALREADY = "_external_command_succeeded"
"""What a task instance keeps it by that the command of an earlier try has succeeded after all."""
SETTLED: set[tuple[TaskKey, int]] = set()
"""Tries whose commands were settled a moment ago, in this process, with those of others."""


def started(instance: Any, key: str, value: object) -> None:
    """Note a command, if the XCom that is pushed has the id of one."""
    platform = platform_of(instance)
    if platform is None or key != platform.xcom_key:
        return
    try:
        row = _row_of(instance, platform, value)
    except ValueError as error:
        instance.log.warning("The XCom %s holds no id of a command: %s", key, error)
        return
    table.create(settings.engine)
    with settings.engine.begin() as connection:
        table.add(connection, row)


def cancel_unknown(instance: Any, value: object) -> None:
    """Cancel a command whose id could be stored nowhere, with what this process knows: its database may be gone."""
    platform = platform_of(instance)
    if platform is None:
        return
    row = _row_of(instance, platform, value)
    instance.log.error("The id of the %s cannot be stored: it is cancelled", row)
    known = instance.__dict__.get(OWN_CONNECTION)
    connections = {row.connection_id: known} if known is not None else None
    answers = Settling(settings.engine, connections=connections).settle([row], table.FAILED)
    tell(instance, [row], answers)


def _row_of(instance: Any, platform: Platform, value: object) -> Row:
    command_id = platform.parse_id(value)
    connection_id = platform.connection_id(instance.task)
    return new_row(instance, platform, connection_id, str(command_id), instance._try_number, time.time())


def succeeded(instance: Any) -> None:
    """Note that a try's commands have ended, since its operator ended well."""
    if platform_of(instance) is None:
        return
    own = instance.__dict__.get(OWN_TRY, instance._try_number)
    rows = [row for row in rows_of(instance, own) if row.ended is None and row.wanted_at is None]
    with settings.engine.begin() as connection:
        table.end(connection, [row.id for row in rows], State.SUCCEEDED.value)


def cancel_killed(instance: Any) -> bool:
    """Cancel the commands of a try that is being killed; whether there was anything to cancel or to ask."""
    platform = platform_of(instance)
    if platform is None:
        return False
    rows = own_rows(instance)
    if rows:
        answers = Settling(settings.engine).settle([row for row in rows if row.ended is None], table.KILLED)
        tell(instance, rows, answers)
    return bool(rows)


def before_failure(instance: Any, force_fail: bool) -> bool:
    """Settle a try's commands before its failure is recorded; True if there is no failure to record.

    There is none if the command has succeeded, in which case the task is a success now, or if somebody
    else has recorded already what became of the try.
    """
    platform = platform_of(instance)
    if platform is None:
        return False
    if instance.__dict__.pop(ALREADY, False):
        return record_success(instance)
    settled = TaskKey.of(instance), instance._try_number
    if settled in SETTLED:
        SETTLED.remove(settled)
        return False
    ours = is_current(instance, instance.__dict__.get(OWN_TRY))
    rows = own_rows(instance) if ours else rows_of(instance, instance.__dict__.get(OWN_TRY, -1))
    answers = Settling(settings.engine).settle([row for row in rows if row.ended is None], table.FAILED)
    tell(instance, rows, answers)
    if not ours:
        return handled(instance)
    # Meanwhile seconds may have gone by.
    return recorded_since(instance) or conclude(instance, rows, answers, force_fail)


def recorded_since(instance: Any) -> bool:
    """Tell whether somebody has recorded what became of a try, or has begun another, while this one's was settled."""
    if platform_of(instance) is None or is_current(instance, instance.__dict__.get(OWN_TRY)):
        return False
    return handled(instance)


def conclude(
    instance: Any, rows: Sequence[Row], answers: dict[int, Answer], force_fail: bool = False
) -> bool:
    """Make the task a success if its last command is one; True if there is no failure to record."""
    if not rows or force_fail:
        return False
    last = rows[-1]
    if not last.decides or last.wanted_by_somebody:
        return False
    state = answers[last.id].state if last.id in answers else None
    return (state is State.SUCCEEDED or last.ended == State.SUCCEEDED.value) and record_success(instance)


def tell(instance: Any, rows: Iterable[Row], answers: dict[int, Answer]) -> None:
    """Write into the task's log what became of its commands."""
    for row in rows:
        answer = answers.get(row.id)
        if answer is None:
            continue
        state = answer.state.value if answer.state else "unknown"
        tail = f" ({answer.trouble})" if answer.trouble else ""
        cancelled = ", after it was asked to be cancelled" if answer.sent else ""
        instance.log.info("The %s is %s%s%s", row, state, cancelled, tail)
        if not answer.is_final and row.id > 0:
            instance.log.warning("`airflow-service reconcile` goes on with the %s: it may still run", row)
