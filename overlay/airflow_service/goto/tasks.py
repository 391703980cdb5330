"""Which platform a task is of, also where the webserver knows the task by its serialized form alone.

An operator that a DAG's file derives from a platform's cannot be imported there. So
the scheduler, which reads the file, writes the platform and the connection down.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow_service.external_commands import registry
from airflow_service.external_commands.platform import Platform

PLATFORM = "_service_platform"
_CONNECTION = "_service_connection"

log = logging.getLogger(__name__)


def describe(operator: Any) -> dict[str, str]:
    """What a task's serialized form has to say of its platform: nothing, if it has none."""
    platform = registry.of_task(operator)
    if platform is None:
        return {}
    said = {PLATFORM: platform.name}
    try:
        said[_CONNECTION] = platform.connection_id(operator)
    except Exception:  # whatever a platform of others may do: the DAG is to be shown all the same
        log.warning("The task %s has no connection to %s", operator.task_id, platform.name, exc_info=True)
    return said


def platform_of(task: Any) -> Platform | None:
    """Give the platform of a task, be it the DAG file's or a serialized one."""
    fields = vars(task)
    if PLATFORM in fields:
        return registry.named(fields[PLATFORM])
    if "_task_module" in fields:
        # Serialized before this version, which wrote nothing down.
        return registry.of_classes([f"{fields['_task_module']}.{fields['_task_type']}"])
    return registry.of_task(task)


def connection_id(platform: Platform, task: Any) -> str:
    """Give the connection of a task as its DAG has it, template or not. Raises LookupError."""
    said = vars(task).get(_CONNECTION)
    return said if isinstance(said, str) else platform.connection_id(task)
