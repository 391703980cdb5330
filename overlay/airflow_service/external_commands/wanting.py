"""Notes, in another's transaction, which commands are to be cancelled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from airflow_service.external_commands import table
from airflow_service.external_commands.rows import Row, TaskKey

log = logging.getLogger(__name__)

DELETED = "deleted"


def tasks(session: Any, instances: Iterable[Any], reason: str) -> None:
    """Note it for the commands of task instances."""
    keys = [TaskKey.of(instance) for instance in instances]
    if keys:
        _note(session, lambda: table.open_of_tasks(session, keys), reason)


def dag(session: Any, dag_id: str) -> None:
    """Note it for the commands of a DAG and its sub-DAGs."""
    _note(session, lambda: table.open_of_dag(session, dag_id), DELETED)


def _note(session: Any, find: Callable[[], list[Row]], reason: str) -> None:
    try:
        if not table.exists(session.connection()):
            return
        # What goes wrong in here takes nothing of the caller's transaction with it.
        with session.begin_nested():
            table.want_cancel(session, find(), reason)
    except Exception:
        log.exception("It could not be noted that commands on outside platforms are to be cancelled")
