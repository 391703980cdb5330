"""`airflow-service reconcile`: goes on with the commands that could not be settled when they had to be."""

from __future__ import annotations

import json
import logging
import random
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow import settings
from airflow.configuration import conf
from airflow.jobs.base_job import BaseJob
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.utils import timezone
from airflow.utils.state import State as TaskState
from sqlalchemy import func, select

from airflow_service.errors import EXIT_DONE, EXIT_PROBLEMS_FOUND, EXIT_USAGE
from airflow_service.external_commands import claims, recording, table
from airflow_service.external_commands.asking import Answer
from airflow_service.external_commands.platform import State
from airflow_service.external_commands.rows import ORPHAN, Row, TaskKey
from airflow_service.external_commands.settling import THREADS, Settling

log = logging.getLogger(__name__)

KEPT = 30 * 86400.0
"""Seconds for which the rows of commands are kept after their end."""
_LONGEST = 90.0
"""Seconds after which a sweep begins with no more commands, so that those of cron do not pile up."""
_NO_TIME = "this run had no time left for it"
_GRACE = 60.0
"""Seconds after a command's start in which its task's state may not be what it will be a moment later."""
_BEFORE_RETRY = (TaskState.UP_FOR_RETRY, TaskState.SCHEDULED, TaskState.QUEUED)
_SILENT = 3
"""How many times as long as a zombie's a task's silence is, until it counts as nobody's."""
# States in which a task's own process looks after its command.
_AT_WORK = (TaskState.RUNNING, TaskState.SHUTDOWN)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A command that was to be settled, and what became of it."""

    row: Row
    answer: Answer
    seconds: float
    """Since it was to be cancelled."""

    def as_json(self) -> dict[str, Any]:
        row = self.row
        return {
            "id": row.id, "platform": row.platform, "connection": row.connection_id, "command": row.command_id,
            "dag_id": row.task.dag_id, "task_id": row.task.task_id, "execution_date": row.task.execution_date,
            "try_number": row.try_number, "reason": row.reason, "open_for_seconds": round(self.seconds),
            "state": self.answer.state.value if self.answer.state else None, "settled": self.answer.is_final,
            "cancelled": self.answer.sent, "trouble": self.answer.trouble,
        }  # fmt: skip

    def __str__(self) -> str:
        state = self.answer.state.value if self.answer.state else "not settled"
        sent = ", asked to be cancelled" if self.answer.sent else ""
        trouble = f": {self.answer.trouble}" if self.answer.trouble else ""
        return f"{self.row.id:>6}  {self.row} ({self.row.reason}, open for {age(self.seconds)}): {state}{sent}{trouble}"


def sweep() -> list[Outcome]:
    """Settle what is to be cancelled, and what no task looks after; may run beside itself and Airflow."""
    if not table.exists(settings.engine):
        return []
    outcomes: list[Outcome] = []
    rows = sorted(_to_settle(), key=_turn)
    began = time.monotonic()
    # Each lot has the whole time-out, so that an account that does not answer takes it from no other for ever.
    for start in range(0, len(rows), THREADS):
        if start and time.monotonic() - began > _LONGEST:
            outcomes += [_outcome(row, Answer(trouble=_NO_TIME)) for row in rows[start:]]
            break
        # Another sweep, after an outage that both have to make up for, may have taken some meanwhile.
        with settings.engine.connect() as connection:
            lot = claims.free_of(connection, rows[start : start + THREADS])
        answers = Settling(settings.engine).settle(lot, ORPHAN)
        for row in lot:
            answer = answers[row.id]
            if answer.state is State.SUCCEEDED:
                _hand_on(row)
            outcomes.append(_outcome(row, answer))
    with settings.engine.begin() as connection:
        table.forget_ended(connection, time.time() - KEPT)
    return sorted(outcomes, key=lambda outcome: outcome.row.id)


def _turn(row: Row) -> tuple[bool, float]:
    """Put what was asked for in vain last, and sweeps of several nodes in orders of their own."""
    return bool(row.trouble), random.random()


def _outcome(row: Row, answer: Answer) -> Outcome:
    return Outcome(row, answer, time.time() - (row.wanted_at or time.time()))


def forget(ids: Sequence[int]) -> list[int]:
    """Give commands up that can no longer be settled, by the ids that a sweep shows; those that were open."""
    if not table.exists(settings.engine):
        return []
    with settings.engine.begin() as connection:
        given_up = [row.id for row in table.open_rows(connection) if row.id in ids]
        table.end(connection, given_up, "forgotten")
    return given_up


def _to_settle() -> list[Row]:
    with settings.engine.begin() as connection:
        rows = table.open_rows(connection)
        wanted = [row for row in rows if row.wanted_at is not None]
        for row in rows:
            if row.wanted_at is not None or time.time() - row.started_at < _GRACE:
                continue
            stored = recording.stored_state(
                connection, row.task, datetime.fromisoformat(row.task.execution_date)
            )
            if stored is not None and stored[0] == TaskState.SUCCESS and stored[1] == row.try_number:
                # Its end was seen by the operator, and could not be noted.
                table.end(connection, [row.id], State.SUCCEEDED.value)
            elif stored is None or stored[1] != row.try_number or not _is_looked_after(connection, row.task, stored[0]):
                wanted.append(row)
    return wanted


def _is_looked_after(connection: Any, key: TaskKey, state: str | None) -> bool:
    return state in _AT_WORK and not _is_left_alone(connection, key)


def _is_left_alone(connection: Any, key: TaskKey) -> bool:
    """Tell whether a running task's worker is dead, and no scheduler fails it: its DAG's file is gone, for one.

    A worker that has told nothing for so long has long ended its task itself.
    """
    instances, jobs = TaskInstance.__table__, BaseJob.__table__
    silent = timedelta(seconds=_SILENT * conf.getint("scheduler", "scheduler_zombie_task_threshold"))
    last = connection.execute(
        select(func.coalesce(jobs.c.latest_heartbeat, instances.c.start_date))
        .select_from(instances.outerjoin(jobs, jobs.c.id == instances.c.job_id))
        .where(
            instances.c.dag_id == key.dag_id,
            instances.c.task_id == key.task_id,
            instances.c.execution_date == datetime.fromisoformat(key.execution_date),
        )
    ).scalar()
    return last is not None and last < timezone.utcnow() - silent


def _hand_on(row: Row) -> None:
    """End a command that has succeeded, with its task if that waits for its next try: both or none."""
    moment = datetime.fromisoformat(row.task.execution_date)
    try:
        spared = _spare_retry(row, moment)
    except Exception:
        log.exception("The %s has succeeded, and its task could not be told: the next run does it", row)
        return
    if spared:
        log.info("The %s has succeeded: its task is a success, and is not tried again", row)


def _spare_retry(row: Row, moment: datetime) -> bool:
    """Make a task a success whose last try's command has succeeded after all, before it is tried again."""
    with settings.Session.session_factory() as session:
        instance = (
            session.query(TaskInstance)
            .filter(
                TaskInstance.dag_id == row.task.dag_id,
                TaskInstance.task_id == row.task.task_id,
                TaskInstance.execution_date == moment,
            )
            .with_for_update()
            .first()
        )
        speaks = instance is not None and row.decides and _speaks_for_its_try(session, row)
        if speaks and instance.state == TaskState.RUNNING and instance._try_number > row.try_number:
            # The next try is just beginning: it asks itself, for it must know that it has nothing to start.
            return False
        spared = speaks and instance.state in _BEFORE_RETRY and instance._try_number == row.try_number
        if spared:
            instance.state, instance.end_date = TaskState.SUCCESS, timezone.utcnow()
            instance.set_duration()
            owner, where = "airflow-service reconcile", _where(row.task, moment)
            session.add(Log(TaskState.SUCCESS, None, owner=owner, extra=str(row), **where))
        table.end(session, [row.id], State.SUCCEEDED.value)
        session.commit()
        return spared


def _speaks_for_its_try(session: Any, row: Row) -> bool:
    """Tell, with its task locked, whether a command is its try's last, and nobody has cleared or marked the task."""
    own = [each for each in table.of_task(session, row.task) if each.try_number == row.try_number]
    return bool(own) and own[-1].id == row.id and not own[-1].wanted_by_somebody


def _where(key: TaskKey, moment: datetime) -> dict[str, Any]:
    return {"dag_id": key.dag_id, "task_id": key.task_id, "execution_date": moment}


def age(seconds: float) -> str:
    """Spell a length of time: `3 d`, `2 h`, `5 min` or `8 s`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def run(forgotten: Sequence[int], *, as_json: bool) -> int:
    """Sweep, or give commands up; exit code 3 if something is left to be settled."""
    if forgotten:
        unknown = sorted(set(forgotten) - set(forget(forgotten)))
        if unknown:
            print(f"no open commands: {', '.join(map(str, unknown))}", file=sys.stderr)
        return EXIT_USAGE if unknown else EXIT_DONE
    with redirect_stdout(sys.stderr):
        outcomes = sweep()
    if as_json:
        print(json.dumps([outcome.as_json() for outcome in outcomes], indent=2))
    else:
        for outcome in outcomes:
            print(outcome)
    return EXIT_DONE if all(outcome.answer.is_final for outcome in outcomes) else EXIT_PROBLEMS_FOUND
