"""The zombies of a DAG file: settled side by side, and then recorded one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from airflow import settings
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import State as TaskState
from sqlalchemy import select

from airflow_service.external_commands import own_rows, recording, registry, table, tries
from airflow_service.external_commands.asking import Answer
from airflow_service.external_commands.rows import ZOMBIE, Row, TaskKey
from airflow_service.external_commands.settling import Settling

log = logging.getLogger(__name__)


def to_fail(dagbag: Any, zombies: Sequence[Any]) -> Iterator[Any]:
    """Give those zombies, of a file's DAGs, whose failure is to be recorded.

    The list that a processor is given may be some seconds old: what has come to an end since then, or was
    handled by the processor before, is left out, whatever its operator. So is one whose command has
    succeeded: it is a success when this returns.
    """
    mine = [zombie for zombie in zombies if zombie.dag_id in dagbag.dags]
    if not mine:
        return
    settling = Settling(settings.engine)  # whose time begins now
    running = _running({zombie.dag_id for zombie in mine})
    here = [zombie for zombie in mine if running.get(TaskKey.of(zombie)) == zombie.try_number]
    instances = {
        TaskKey.of(zombie): _instance(dagbag, zombie) for zombie in here if _has_command(dagbag, zombie)
    }
    rows = _rows(instances)
    unsettled = [row for each in rows.values() for row in each if row.ended is None]
    answers = settling.settle(unsettled, ZOMBIE)
    for zombie in here:
        # Meanwhile seconds may have gone by.
        if not _is_zombie(zombie):
            continue
        key = TaskKey.of(zombie)
        try:
            if key in instances and _is_rescued(instances[key], rows[key], answers):
                continue
            if key in instances:
                tries.SETTLED.add((key, zombie.try_number))
        except Exception:
            log.exception("The success of the zombie %s could not be recorded: it is looked at by itself", key)
        yield zombie


def _is_rescued(instance: Any, rows: Sequence[Row], answers: dict[int, Answer]) -> bool:
    tries.tell(instance, rows, answers)
    return tries.conclude(instance, rows, answers)


def _running(dag_ids: set[str]) -> dict[TaskKey, int]:
    """The running tries of some DAGs, as the database has them now."""
    instances = TaskInstance.__table__
    wanted = instances.c.dag_id.in_(list(dag_ids)), instances.c.state == TaskState.RUNNING
    columns = instances.c.dag_id, instances.c.task_id, instances.c.execution_date, instances.c.try_number
    with settings.engine.connect() as connection:
        return {
            TaskKey.of(row): row.try_number for row in connection.execute(select(*columns).where(*wanted))
        }


def _rows(instances: dict[TaskKey, Any]) -> dict[TaskKey, list[Row]]:
    """The commands of task instances' tries, read at once."""
    found: dict[TaskKey, list[Row]] = {key: [] for key in instances}
    with settings.engine.connect() as connection:
        if instances and table.exists(connection):
            for row in table.of_tasks(connection, instances):
                found.setdefault(row.task, []).append(row)
    return {key: _at_work(instance, found[key]) for key, instance in instances.items()}


def _at_work(instance: Any, rows: Sequence[Row]) -> list[Row]:
    try:
        return own_rows.rows_at_work(instance, rows)
    except Exception:  # that of one must not have all others settled one after the other
        log.exception("The commands of the zombie %s are not known: it fails", TaskKey.of(instance))
        return []


def _is_zombie(zombie: Any) -> bool:
    """Tell whether the database still has the try as running."""
    with settings.engine.connect() as connection:
        stored = recording.stored_state(connection, TaskKey.of(zombie), zombie.execution_date)
    return stored == (TaskState.RUNNING, zombie.try_number)


def _has_command(dagbag: Any, zombie: Any) -> bool:
    dag = dagbag.dags[zombie.dag_id]
    return zombie.task_id in dag.task_ids and registry.of_task(dag.get_task(zombie.task_id)) is not None


def _instance(dagbag: Any, zombie: Any) -> Any:
    """Make a task instance like the one that `kill_zombies` makes."""
    instance = TaskInstance(dagbag.dags[zombie.dag_id].get_task(zombie.task_id), zombie.execution_date)
    instance.start_date, instance.end_date = zombie.start_date, zombie.end_date
    instance.try_number, instance.state = zombie.try_number, zombie.state
    return instance
