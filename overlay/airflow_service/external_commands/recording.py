"""What becomes of a task instance, as the database has it: read, and recorded once."""

from __future__ import annotations

from typing import Any

from airflow import settings
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.settings import Stats
from airflow.utils import timezone
from airflow.utils.state import State as TaskState
from sqlalchemy import select

from airflow_service.external_commands.table import TaskKey

_AT_WORK = (TaskState.RUNNING, TaskState.SHUTDOWN)


def record_success(instance: Any) -> bool:
    """Make a running task a success, once; True if it is one now, or is no longer this try's to record."""
    before = instance._try_number
    # Not the thread's own session, which the caller is using.
    with settings.Session.session_factory() as session:
        instance.refresh_from_db(session=session, lock_for_update=True)
        if instance.state != TaskState.RUNNING or instance._try_number != before:
            session.commit()
            return instance.state not in (TaskState.QUEUED, TaskState.SHUTDOWN) and handled(instance)
        instance.state = TaskState.SUCCESS
        instance.end_date = timezone.utcnow()
        instance.set_duration()
        session.add(Log(TaskState.SUCCESS, instance))
        session.merge(instance)
        session.commit()
    Stats.incr("ti_successes")
    instance.log.info("The command has succeeded, and so has the task: marking it as SUCCESS.")
    _success_callback(instance)
    return True


def _success_callback(instance: Any) -> None:
    """Call the user's callback after the success is recorded: at most once, whoever else handles this."""
    callback = instance.task.on_success_callback
    if callback:
        try:
            callback(instance.get_template_context())
        except Exception:
            instance.log.exception("Failed when executing success callback")


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


def stored_state(connection: Any, key: TaskKey, execution_date: Any) -> tuple[str | None, int] | None:
    """Give a task instance's state and number of tries as the database has them; None if it has none."""
    instances = TaskInstance.__table__
    found = connection.execute(
        select(instances.c.state, instances.c.try_number).where(
            instances.c.dag_id == key.dag_id,
            instances.c.task_id == key.task_id,
            instances.c.execution_date == execution_date,
        )
    ).first()
    return None if found is None else (found.state, found.try_number)


def handled(instance: Any) -> bool:
    instance.log.info("What became of this try of %s is recorded already.", TaskKey.of(instance))
    return True
