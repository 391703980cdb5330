"""What a task's try has to do with its commands: at its start, at its failure, and when it is killed.

All of it is called from hooks in Airflow's own handling of task instances, by way of this package's
functions, which let no exception of ours through.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from airflow import settings
from airflow.exceptions import AirflowException

from airflow_service.external_commands import registry, table
from airflow_service.external_commands.asking import Answer
from airflow_service.external_commands.command_ids import xcom_id
from airflow_service.external_commands.platform import Platform, State
from airflow_service.external_commands.recording import handled, is_current, record_success
from airflow_service.external_commands.settling import Settling
from airflow_service.external_commands.table import Row, TaskKey

log = logging.getLogger(__name__)

_ALREADY = "_external_command_succeeded"
_OWN_TRY = "_external_command_try"
SETTLED: set[tuple[TaskKey, int]] = set()
"""Tries whose commands were settled a moment ago, in this process, with those of others."""
_temporary = itertools.count(-1, -1)
"""Ids of rows that could not be written."""


class CommandStillOpen(AirflowException):  # type: ignore[misc]
    """A command of an earlier try may still run, so that no other may be started beside it."""


class CommandSucceeded(AirflowException):  # type: ignore[misc]
    """The command of an earlier try has succeeded after all: none is needed any more."""


def begin(instance: Any) -> None:
    """Before a try clears the XComs of the one before: settle what that one has left.

    Raises CommandStillOpen and CommandSucceeded, both of which go to `handle_failure`.
    """
    platform = _platform(instance)
    if platform is None:
        return
    instance.__dict__[_OWN_TRY] = instance._try_number
    rows = _rows(instance)
    stored = _adopted(instance, platform, rows, instance._try_number - 1)
    still_open = [row for row in rows if row.ended is None] + stored
    if still_open:
        instance.log.info("Settling what an earlier try has left: %s", ", ".join(map(str, still_open)))
        answers = Settling(settings.engine).settle(still_open, table.FAILED)
        tell(instance, still_open, answers)
        _give_up(row for row in stored if _past_asking(answers[row.id]))
        _refuse_beside(instance, still_open, stored, answers)
    with settings.engine.begin() as connection:
        if table.exists(connection):
            table.forget(connection, [row.id for row in _rows(instance) if row.ended is not None])


def _give_up(rows: Iterable[Row]) -> None:
    """Have commands that are let pass now keep no later try from its start."""
    ids = [row.id for row in rows]
    with settings.engine.begin() as connection:
        if ids and table.exists(connection):
            table.end(connection, ids, "forgotten")


def _refuse_beside(
    instance: Any, rows: Sequence[Row], stored: Sequence[Row], answers: dict[int, Answer]
) -> None:
    """Raise what keeps a try from starting a command, if anything does."""
    for row in rows:
        answer = answers[row.id]
        # Of an id that only an XCom has nobody says that it is open: a platform may have forgotten it.
        if not answer.is_final and not (row in stored and _past_asking(answer)):
            raise CommandStillOpen(
                f"No command is started beside an earlier one. The {row} may still run, for it could not be"
                f" settled: {answer.trouble}. `airflow-service reconcile` settles it when that is mended."
            )
    last = rows[-1]
    succeeded = answers[last.id].state is State.SUCCEEDED
    # Without a reason, or from an XCom, it may be a run that somebody has cleared.
    if succeeded and last.decides and last.reason in table.OWN_REASONS and last not in stored:
        instance.__dict__[_ALREADY] = True
        raise CommandSucceeded(f"The {last} has succeeded after all; it is not run again.")


def _past_asking(answer: Answer) -> bool:
    """Tell whether nothing is known, and nothing will be by waiting."""
    return answer.state is None and not answer.trouble.startswith(("Unreachable", "BadReply", "no answer"))


def started(instance: Any, key: str, value: object) -> None:
    """Note a command, if the XCom that is pushed has the id of one."""
    platform = _platform(instance)
    if platform is None or key != platform.xcom_key:
        return
    try:
        command_id = platform.parse_id(value)
    except ValueError as error:
        instance.log.warning("The XCom %s holds no id of a command: %s", key, error)
        return
    connection_id = platform.connection_id(instance.task)
    row = _new_row(instance, platform, connection_id, str(command_id), instance._try_number, time.time())
    table.create(settings.engine)
    with settings.engine.begin() as connection:
        table.add(connection, row)


def _new_row(
    instance: Any, platform: Platform, connection_id: str, command_id: str, try_number: int, moment: float
) -> Row:
    key, decides = TaskKey.of(instance), platform.decides(instance.task)
    return Row(next(_temporary), platform.name, connection_id, command_id, key, try_number, moment, decides)


def succeeded(instance: Any) -> None:
    """Note that a try's commands have ended, since its operator ended well."""
    if _platform(instance) is None:
        return
    own = instance.__dict__.get(_OWN_TRY, instance._try_number)
    rows = [row for row in _rows(instance, own) if row.ended is None and row.wanted_at is None]
    with settings.engine.begin() as connection:
        table.end(connection, [row.id for row in rows], State.SUCCEEDED.value)


def cancel_killed(instance: Any) -> bool:
    """Cancel the commands of a try that is being killed; whether there was anything to cancel or to ask."""
    platform = _platform(instance)
    if platform is None:
        return False
    rows = _own_rows(instance)
    if rows:
        answers = Settling(settings.engine).settle([row for row in rows if row.ended is None], table.KILLED)
        tell(instance, rows, answers)
    return bool(rows)


def before_failure(instance: Any, force_fail: bool) -> bool:
    """Settle a try's commands before its failure is recorded; True if there is no failure to record.

    There is none if the command has succeeded, in which case the task is a success now, or if somebody
    else has recorded already what became of the try.
    """
    platform = _platform(instance)
    if platform is None:
        return False
    if instance.__dict__.pop(_ALREADY, False):
        return record_success(instance)
    settled = TaskKey.of(instance), instance._try_number
    if settled in SETTLED:
        SETTLED.remove(settled)
        return False
    ours = is_current(instance, instance.__dict__.get(_OWN_TRY))
    rows = _own_rows(instance) if ours else _rows(instance, instance.__dict__.get(_OWN_TRY, -1))
    answers = Settling(settings.engine).settle([row for row in rows if row.ended is None], table.FAILED)
    tell(instance, rows, answers)
    if not ours:
        return handled(instance)
    # Meanwhile seconds may have gone by.
    return recorded_since(instance) or conclude(instance, rows, answers, force_fail)


def recorded_since(instance: Any) -> bool:
    """Tell whether somebody has recorded what became of a try, or has begun another, while this one's was settled."""
    if _platform(instance) is None or is_current(instance, instance.__dict__.get(_OWN_TRY)):
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


def _platform(instance: Any) -> Platform | None:
    if instance.test_mode or getattr(instance, "task", None) is None:
        return None
    return registry.of_task(instance.task)


def _rows(instance: Any, try_number: int | None = None) -> list[Row]:
    """The commands of a task instance, or of one of its tries, that the table has."""
    with settings.engine.connect() as connection:
        if not table.exists(connection):
            return []
        rows = table.of_task(connection, TaskKey.of(instance))
    return [row for row in rows if try_number in (None, row.try_number)]


def rows_at_work(instance: Any, rows: Sequence[Row]) -> list[Row]:
    """Give those of a running task instance's commands that are its try's; the XCom's if the table has none."""
    platform = _platform(instance)
    if platform is None:
        return []
    own = instance.__dict__.get(_OWN_TRY, instance._try_number)
    mine = [row for row in rows if row.try_number == own]
    return mine or _adopted(instance, platform, rows, own, current=True)


def _own_rows(instance: Any) -> list[Row]:
    return rows_at_work(instance, _rows(instance))


def _adopted(
    instance: Any, platform: Platform, rows: Iterable[Row], try_number: int, *, current: bool = False
) -> list[Row]:
    """Note the command of the XCom, if the table knows nothing of it, as one of a try.

    For the try that is at work, an XCom from before its start is an earlier one's.
    """
    try:
        with settings.engine.connect() as connection:
            stored = xcom_id(connection, platform, instance)
    except ValueError as error:
        instance.log.warning("The XCom %s holds no id of a command: %s", platform.xcom_key, error)
        return []
    if stored is None or str(stored.command_id) in {row.command_id for row in rows}:
        return []
    if current and (instance.start_date is None or stored.stored_at < instance.start_date):
        return []
    connection_id, moment = _connection_id(instance, platform), stored.stored_at.timestamp()
    row = _new_row(instance, platform, connection_id, str(stored.command_id), try_number, moment)
    try:
        table.create(settings.engine)
        with settings.engine.begin() as connection:
            table.add(connection, row)
        return [each for each in _rows(instance, try_number) if each.command_id == row.command_id]
    except Exception:
        log.exception("The table of commands on outside platforms cannot be written")
        return [row]


def _connection_id(instance: Any, platform: Platform) -> str:
    """Give the connection that a task's operator names; where it is a template, as it is when rendered."""
    given: str = platform.connection_id(instance.task)
    if "{{" in given or "{%" in given:
        given = instance.task.render_template(given, instance.get_template_context())
    return given


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
        if not answer.is_final:
            instance.log.warning("`airflow-service reconcile` goes on with the %s: it may still run", row)
