"""What becomes of a task instance, as the database has it: read, and recorded once."""

from __future__ import annotations

import logging
from typing import Any

from airflow import settings
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.settings import Stats
from airflow.utils import timezone
from airflow.utils.state import State as TaskState
from sqlalchemy import select

from airflow_service.external_commands import table
from airflow_service.external_commands.rows import Row, TaskKey

log = logging.getLogger(__name__)

OWN_TRY = "_external_command_try"
"""What a task instance keeps the try by that this process has begun."""
_AT_WORK = (TaskState.RUNNING, TaskState.SHUTDOWN)
_ENDED = (TaskState.SUCCESS, TaskState.FAILED, TaskState.UP_FOR_RETRY, TaskState.SKIPPED)


def record_success(instance: Any, row: Row) -> bool:
    """Make a running task a success, once; True if it is one now, or is no longer this try's to record.

    `row` is the command that decides. The callback comes first, as in Airflow: until it has ended, the task is
    running, and a worker's job leaves its process in peace.
    """
    own = instance._try_number
    try:
        # Not the thread's own session, which the caller is using.
        with settings.Session.session_factory() as session:
            instance.refresh_from_db(session=session)
            session.commit()
            if _is_at_work(instance, own):
                _success_callback(instance, row)
            instance.refresh_from_db(session=session, lock_for_update=True)
            if not _is_at_work(instance, own):
                session.commit()
                return instance.state not in (TaskState.QUEUED, TaskState.SHUTDOWN) and handled(instance)
            _write_success(instance, session)
    except BaseException:
        # What was to be written is not what is.
        instance.state, instance.end_date = TaskState.RUNNING, None
        raise
    Stats.incr("ti_successes")
    logger_of(instance, log).info("The %s has succeeded, and so has its task: marking it as SUCCESS.", row)
    return True


def _is_at_work(instance: Any, own: int) -> bool:
    return bool(instance.state == TaskState.RUNNING and instance._try_number == own)


def _write_success(instance: Any, session: Any) -> None:
    instance.state = TaskState.SUCCESS
    instance.end_date = timezone.utcnow()
    instance.set_duration()
    session.add(Log(TaskState.SUCCESS, instance))
    session.merge(instance)
    session.commit()


def _success_callback(instance: Any, row: Row) -> None:
    """Call the user's callback: at most once, whoever else handles this."""
    callback = instance.task.on_success_callback
    if callback and calls_back(row):
        try:
            instance.state = TaskState.SUCCESS
            callback(instance.get_template_context())
        except Exception:
            logger_of(instance, log).exception("Failed when executing success callback")


def calls_back(row: Row) -> bool:
    """Take the calling back of a command's success for this process; False if another has taken it."""
    # Without an id the table could not be written, and nobody else knows of the command.
    if row.id < 0:
        return True
    with settings.engine.begin() as connection:
        return table.claim_callback(connection, row.id)


def is_current(instance: Any, own: int | None) -> bool:
    """Tell whether what becomes of a try is still to be recorded; `own` is the one that this process has begun."""
    with settings.engine.connect() as connection:
        stored = stored_state(connection, TaskKey.of(instance), instance.execution_date)
    if stored is None:
        return own is None
    state, try_number = stored
    if own is not None:
        return state in _AT_WORK and try_number == own
    return bool(state == instance.state and try_number == instance._try_number)


def ended_elsewhere(instance: Any, own: int) -> bool:
    """Tell whether the end of a try that ends well here was recorded already, or a person has marked it otherwise.

    A mark as success is none: Airflow has its worker's record follow it.
    """
    key, instances = TaskKey.of(instance), TaskInstance.__table__
    with settings.engine.connect() as connection:
        found = connection.execute(
            select(instances.c.state, instances.c.try_number, instances.c.end_date).where(
                *_of(key, instance.execution_date)
            )
        ).first()
    if found is None:
        return False
    marked = found.state == TaskState.SUCCESS and found.end_date is None
    return found.try_number != own or (found.state in _ENDED and not marked)


def stored_state(connection: Any, key: TaskKey, execution_date: Any) -> tuple[str | None, int] | None:
    """Give a task instance's state and number of tries as the database has them; None if it has none."""
    instances = TaskInstance.__table__
    found = connection.execute(
        select(instances.c.state, instances.c.try_number).where(*_of(key, execution_date))
    ).first()
    return None if found is None else (found.state, found.try_number)


def _of(key: TaskKey, execution_date: Any) -> tuple[Any, ...]:
    instances = TaskInstance.__table__
    return (
        instances.c.dag_id == key.dag_id,
        instances.c.task_id == key.task_id,
        instances.c.execution_date == execution_date,
    )


def handled(instance: Any) -> bool:
    logger_of(instance, log).info("What became of this try of %s is recorded already.", TaskKey.of(instance))
    return True


def logger_of(instance: Any, other: logging.Logger) -> logging.Logger:
    """Give the logger of a task that this process runs; `other` elsewhere, where a task's handler has no file."""
    own: logging.Logger = instance.log if OWN_TRY in instance.__dict__ else other
    return own
