"""The zombies of a DAG file: settled side by side, and then recorded one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from airflow import settings
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import State as TaskState

from airflow_service.external_commands import registry, table, tries
from airflow_service.external_commands.settling import Settling
from airflow_service.external_commands.table import TaskKey

log = logging.getLogger(__name__)


def to_fail(dagbag: Any, zombies: Sequence[Any]) -> Iterator[Any]:
    """Give those zombies, of a file's DAGs, whose failure is to be recorded.

    The list that a processor is given may be some seconds old: what has come to an end since then, or was
    handled by the processor before, is left out, whatever its operator. So is one whose command has
    succeeded: it is a success when this returns.
    """
    here = [zombie for zombie in zombies if zombie.dag_id in dagbag.dags and _is_zombie(zombie)]
    instances = {
        TaskKey.of(zombie): _instance(dagbag, zombie) for zombie in here if _has_command(dagbag, zombie)
    }
    rows = {key: tries.rows_at_work(instance) for key, instance in instances.items()}
    unsettled = [row for each in rows.values() for row in each if row.ended is None]
    answers = Settling(settings.engine).settle(unsettled, table.ZOMBIE) if unsettled else {}
    for zombie in here:
        # Meanwhile seconds may have gone by.
        if not _is_zombie(zombie):
            continue
        instance = instances.get(TaskKey.of(zombie))
        if instance is not None:
            mine = rows[TaskKey.of(zombie)]
            tries.tell(instance, mine, answers)
            if tries.conclude(instance, mine, answers):
                continue
            tries.SETTLED.add((TaskKey.of(zombie), zombie.try_number))
        yield zombie


def _is_zombie(zombie: Any) -> bool:
    """Tell whether the database still has the try as running."""
    with settings.engine.connect() as connection:
        stored = tries.stored_state(connection, TaskKey.of(zombie), zombie.execution_date)
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
