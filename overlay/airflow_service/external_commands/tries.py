"""What a task's try has to do with its commands: when it starts one, ends, fails, and is killed.

All of it is called from hooks in Airflow's own handling of task instances, by way of this package's
functions, which let no exception of ours through.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from airflow import settings
from airflow.exceptions import AirflowException
from airflow.utils.state import State as TaskState

from airflow_service.external_commands import table
from airflow_service.external_commands.asking import Answer
from airflow_service.external_commands.own_rows import (
    OWN_CONNECTION,
    account_at_start,
    new_row,
    own_rows,
    platform_of,
    rows_of,
)
from airflow_service.external_commands.platform import Platform, State
from airflow_service.external_commands.recording import (
    OWN_TRY,
    calls_back,
    ended_elsewhere,
    handled,
    is_current,
    logger_of,
    record_success,
)
from airflow_service.external_commands.rows import FAILED, KILLED, Row, TaskKey
from airflow_service.external_commands.settling import Settling

log = logging.getLogger(__name__)

ALREADY = "_external_command_succeeded"
"""What a task instance keeps the command of an earlier try by that has succeeded after all."""
SETTLED: set[tuple[TaskKey, int]] = set()
"""Tries whose commands were settled a moment ago, in this process, with those of others."""
NOTED: set[tuple[TaskKey, int]] = set()
"""Tries of this process whose commands the table was told of."""


def started(instance: Any, key: str, value: object) -> None:
    """Note a command, if the XCom that is pushed has the id of one."""
    platform = platform_of(instance, tested=True)
    if platform is None or key != platform.xcom_key:
        return
    try:
        row = _row_of(instance, platform, value)
    except ValueError as error:
        instance.log.warning("The XCom %s holds no id of a command: %s", key, error)
        return
    if instance.test_mode:
        # Known, so that nobody takes its XCom for a scheduled try's, and otherwise left alone.
        row = replace(row, try_number=0, ended="tested")
    table.create(settings.engine)
    with settings.engine.begin() as connection:
        table.add(connection, row)
    NOTED.add((row.task, row.try_number))


def cancel_unknown(instance: Any, value: object) -> None:
    """Cancel a command whose id could be stored nowhere, with what this process knows: its database may be gone."""
    platform = platform_of(instance)
    if platform is None:
        return
    row = _row_of(instance, platform, value)
    instance.log.error("The id of the %s cannot be stored: it is cancelled", row)
    known = instance.__dict__.get(OWN_CONNECTION)
    connections = {row.connection_id: known} if known is not None else None
    answers = Settling(settings.engine, connections=connections).settle([row], FAILED)
    tell(instance, [row], answers)


def _row_of(instance: Any, platform: Platform, value: object) -> Row:
    command_id = platform.parse_id(value)
    connection_id = platform.connection_id(instance.task)
    account = account_at_start(instance, platform, connection_id)
    return new_row(instance, platform, connection_id, str(command_id), instance._try_number, time.time(), account)


def succeeded(instance: Any) -> bool:
    """Note that a try's commands have ended, since its operator ended well; True if there is no success to record.

    There is none if the worker was away, and what became of the try was recorded, or called back, without it.
    """
    if platform_of(instance) is None:
        return False
    own = instance.__dict__.get(OWN_TRY, instance._try_number)
    if ended_elsewhere(instance, own):
        return handled(instance)
    rows = rows_of(instance, own)
    with settings.engine.begin() as connection:
        over = [row.id for row in rows if row.ended is None and row.wanted_at is None]
        table.end(connection, over, State.SUCCEEDED.value)
    return bool(rows) and not calls_back(rows[-1]) and record_success(instance, rows[-1])


def cancel_killed(instance: Any) -> bool:
    """Cancel the commands of a try that is being killed; whether there was anything to cancel or to ask."""
    platform = platform_of(instance)
    if platform is None:
        return False
    rows = own_rows(instance)
    if rows:
        answers = Settling(settings.engine).settle([row for row in rows if row.ended is None], KILLED)
        tell(instance, rows, answers)
    # What was noted and is gone had ended, before the next try began: this worker was away meanwhile.
    return bool(rows) or (TaskKey.of(instance), instance.__dict__.get(OWN_TRY, instance._try_number)) in NOTED


def before_failure(instance: Any, force_fail: bool) -> bool:
    """Settle a try's commands before its failure is recorded; True if there is no failure to record.

    There is none if the command has succeeded, in which case the task is a success now, or if somebody
    else has recorded already what became of the try.
    """
    platform = platform_of(instance)
    if platform is None:
        return False
    if instance.state == TaskState.QUEUED and OWN_TRY not in instance.__dict__:
        # It has begun no command. The scheduler's own loop, which asks, waits for no platform: what an earlier try
        # has left is for the next one, or for the sweep.
        return False
    already = instance.__dict__.pop(ALREADY, None)
    if already is not None:
        return _recorded_success(instance, [already], {already.id: Answer(State.SUCCEEDED)})
    settled = TaskKey.of(instance), instance._try_number
    if settled in SETTLED:
        SETTLED.remove(settled)
        return False
    ours = is_current(instance, instance.__dict__.get(OWN_TRY))
    rows = own_rows(instance) if ours else rows_of(instance, instance.__dict__.get(OWN_TRY, -1))
    answers = Settling(settings.engine).settle([row for row in rows if row.ended is None], FAILED)
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
    if not rows:
        return False
    last = rows[-1]
    state = answers[last.id].state if last.id in answers else None
    succeeded = state is State.SUCCEEDED or last.ended == State.SUCCEEDED.value
    if not succeeded or force_fail or not last.decides or last.wanted_by_somebody:
        end_succeeded(rows, answers)
        return False
    return _recorded_success(instance, rows, answers)


def _recorded_success(instance: Any, rows: Sequence[Row], answers: dict[int, Answer]) -> bool:
    recorded = record_success(instance, rows[-1])
    # Not before: if it cannot be recorded, the next try finds the command open, and out that it has succeeded.
    end_succeeded(rows, answers)
    return recorded


def end_succeeded(rows: Iterable[Row], answers: dict[int, Answer]) -> None:
    """Note of commands that have succeeded that their tasks have got to know."""
    ids = [row.id for row in rows if row.id in answers and answers[row.id].state is State.SUCCEEDED]
    try:
        with settings.engine.begin() as connection:
            if ids and table.exists(connection):
                table.end(connection, ids, State.SUCCEEDED.value)
    except AirflowException:
        raise
    except Exception:
        log.exception("What became of commands on outside platforms cannot be written down")


def tell(instance: Any, rows: Iterable[Row], answers: dict[int, Answer]) -> None:
    """Write into the task's log what became of its commands; into the scheduler's where there is none."""
    said = logger_of(instance, log)
    for row in rows:
        answer = answers.get(row.id)
        if answer is None:
            continue
        state = answer.state.value if answer.state else "unknown"
        tail = f" ({answer.trouble})" if answer.trouble else ""
        cancelled = ", after it was asked to be cancelled" if answer.sent else ""
        said.info("The %s is %s%s%s", row, state, cancelled, tail)
        if not answer.is_final and row.id > 0:
            said.warning("`airflow-service reconcile` goes on with the %s: it may still run", row)
