"""What a try does before it starts a command: it settles what earlier ones have left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from airflow import settings
from airflow.exceptions import AirflowException

from airflow_service.external_commands import table
from airflow_service.external_commands.asking import Answer
from airflow_service.external_commands.own_rows import (
    OWN_CONNECTION,
    adopted,
    known_connection,
    platform_of,
    rows_of,
)
from airflow_service.external_commands.platform import State
from airflow_service.external_commands.recording import OWN_TRY
from airflow_service.external_commands.rows import FAILED, OWN_REASONS, Row
from airflow_service.external_commands.settling import Settling
from airflow_service.external_commands.tries import ALREADY, end_succeeded, tell


class CommandStillOpen(AirflowException):  # type: ignore[misc]
    """A command of an earlier try may still run, so that no other may be started beside it."""


class CommandSucceeded(AirflowException):  # type: ignore[misc]
    """The command of an earlier try has succeeded after all: none is needed any more."""


def begin(instance: Any) -> None:
    """Before a try clears the XComs of the one before: settle what that one has left.

    Raises CommandStillOpen and CommandSucceeded, both of which go to `handle_failure`.
    """
    platform = platform_of(instance)
    if platform is None:
        return
    instance.__dict__[OWN_TRY] = instance._try_number
    instance.__dict__[OWN_CONNECTION] = known_connection(instance, platform)
    rows = rows_of(instance)
    stored = adopted(instance, platform, rows, instance._try_number - 1)
    still_open = [row for row in rows if row.ended is None] + stored
    if still_open:
        instance.log.info("Settling what an earlier try has left: %s", ", ".join(map(str, still_open)))
        answers = Settling(settings.engine).settle(still_open, FAILED)
        tell(instance, still_open, answers)
        _give_up(row for row in stored if _past_asking(answers[row.id]))
        _refuse_beside(instance, still_open, stored, answers)
        end_succeeded(still_open, answers)
    with settings.engine.begin() as connection:
        if table.exists(connection):
            table.forget(connection, [row.id for row in rows_of(instance) if row.ended is not None])


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
    if succeeded and last.decides and last.reason in OWN_REASONS and last not in stored:
        instance.__dict__[ALREADY] = last
        raise CommandSucceeded(f"The {last} has succeeded after all; it is not run again.")


def _past_asking(answer: Answer) -> bool:
    """Tell whether nothing is known, and nothing will be by waiting."""
    return answer.state is None and not answer.trouble.startswith(("Unreachable", "BadReply", "no answer"))
