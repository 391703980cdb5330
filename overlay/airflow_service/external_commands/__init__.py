"""Keeps tasks and the commands that they run on outside platforms in agreement.

The functions here are what patches of Airflow call. Whatever goes wrong in them is logged, and Airflow
goes on as it would without them. They import the rest when they are called, since Airflow's modules,
which the rest needs, import this one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

_KILL_GRACE = 5.0
"""Seconds, beside the time-out, for what a kill's settling does in the database."""


def begin(instance: Any) -> None:
    """Before a try clears the XComs of the one before: settle what that one has left running.

    Raises AirflowException if a command may still run, or has succeeded after all: the try must start none.
    """
    from airflow.exceptions import AirflowException

    try:
        from airflow_service.external_commands import beginning

        beginning.begin(instance)
    except AirflowException:
        raise
    except Exception:
        log.exception("What an earlier try has left on an outside platform is not known")


@contextmanager
def storing(instance: Any, key: str, value: object) -> Iterator[None]:
    """While a task instance's XCom is stored: note the command whose id it is.

    A command of which neither the table nor an XCom could be told is cancelled at once.
    """
    from airflow.exceptions import AirflowException

    try:
        noted = _noted(instance, key, value)
    except AirflowException:  # a kill, or the end of the task's time, which come but once
        _noted(instance, key, value)
        raise
    try:
        yield
    except Exception:
        if not noted:
            _cancel_unknown(instance, value)
        raise


def succeeded(instance: Any) -> bool:
    """When an operator has ended well: its commands have, too. True if there is no success to record."""
    from airflow.exceptions import AirflowException

    try:
        from airflow_service.external_commands import tries

        return tries.succeeded(instance)
    except AirflowException:  # a kill that comes now
        raise
    except Exception:
        log.exception("The end of a command on an outside platform could not be noted")
        return False


def on_kill(instance: Any, task: Any) -> None:
    """When a task is killed or runs out of time: cancel its commands, and have its operator clean up."""
    if not _cancel_killed(instance) or _cleans_up_more(task):
        task.on_kill()


def before_failure(instance: Any, test_mode: bool | None, force_fail: bool) -> bool:
    """Before a failure is recorded: settle the try's commands; True if there is no failure to record."""
    if test_mode:
        return False
    try:
        from airflow_service.external_commands import tries

        return tries.before_failure(instance, force_fail)
    except Exception:
        log.exception("The commands of a failed task on an outside platform could not be settled")
        return _recorded_since(instance)


def zombies_to_fail(dagbag: Any, zombies: Sequence[Any]) -> Iterator[Any]:
    """Before zombies are failed: settle their commands; those that are left to fail."""
    told = set()
    try:
        from airflow_service.external_commands import zombies as module

        for zombie in module.to_fail(dagbag, zombies):
            told.add(id(zombie))
            yield zombie
    except Exception:
        log.exception("The commands of zombies on outside platforms could not be settled")
        yield from (zombie for zombie in zombies if id(zombie) not in told)


def want_cancel(session: Any, instances: Iterable[Any], reason: str) -> None:
    """When a person clears or marks task instances: note that their commands are to be cancelled.

    Nothing is asked of a platform: that is for the living worker, or for `airflow-service reconcile`. It is
    noted in the caller's transaction.
    """
    from airflow_service.external_commands import wanting

    wanting.tasks(session, instances, reason)


def want_cancel_of_dag(session: Any, dag_id: str) -> None:
    """When a person deletes a DAG: note that the commands of its tasks are to be cancelled."""
    from airflow_service.external_commands import wanting

    wanting.dag(session, dag_id)


def create_table(engine: Any) -> None:
    """With the tables of Airflow: make the table of commands."""
    from airflow_service.external_commands import table

    table.create(engine)


def drop_table(engine: Any) -> None:
    """With the tables of Airflow: drop the table of commands."""
    from airflow_service.external_commands import table

    table.metadata.drop_all(engine)


def _noted(instance: Any, key: str, value: object) -> bool:
    from airflow.exceptions import AirflowException

    try:
        from airflow_service.external_commands import tries

        tries.started(instance, key, value)
    except AirflowException:
        raise
    except Exception:
        log.exception("A command on an outside platform could not be noted")
        return False
    return True


def _cancel_unknown(instance: Any, value: object) -> None:
    try:
        from airflow_service.external_commands import tries

        tries.cancel_unknown(instance, value)
    except Exception:
        log.exception("A command on an outside platform that nobody knows of could not be cancelled")


def _recorded_since(instance: Any) -> bool:
    try:
        from airflow_service.external_commands import tries

        return tries.recorded_since(instance)
    except Exception:
        log.exception("What became of a failed task meanwhile could not be read")
        return False


def _cancel_killed(instance: Any) -> bool:
    """Cancel in a thread: a signal may have come while this one held a lock that the cancelling needs."""
    known: list[bool] = []

    def run() -> None:
        try:
            from airflow_service.external_commands import tries

            known.append(tries.cancel_killed(instance))
        except Exception:
            log.exception("The commands of a killed task on an outside platform could not be cancelled")

    from airflow_service.external_commands.settling import settings

    thread = threading.Thread(target=run, name="external-command-kill", daemon=True)
    thread.start()
    thread.join(settings().external_command_timeout + _KILL_GRACE)
    return bool(known) and known[0]


def _cleans_up_more(task: Any) -> bool:
    """Tell whether a class derived from the platform's operator has an `on_kill` of its own."""
    from airflow_service.external_commands import registry

    platform = registry.of_task(task)
    for each in type(task).__mro__:
        if platform is not None and f"{each.__module__}.{each.__qualname__}" in platform.operators:
            return False
        if "on_kill" in vars(each):
            return True
    return True
