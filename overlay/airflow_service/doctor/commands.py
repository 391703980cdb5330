"""Commands on outside platforms that wait to be settled."""

from __future__ import annotations

import time
from collections.abc import Iterator

from airflow_service.doctor.database import readable_engine
from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.sources import Configuration

LATE = 900
"""Seconds after which a command that is to be cancelled should long have been."""
_TROUBLE = (
    "SELECT trouble FROM {table} WHERE ended IS NULL AND wanted_at IS NOT NULL AND trouble <> '' ORDER BY wanted_at"
)
_OPEN = "SELECT count(*), min(wanted_at) FROM {table} WHERE ended IS NULL AND wanted_at IS NOT NULL"
# What the scheduler and a worker leave a process that asks, in seconds, what both come with, and how often it asks
# meanwhile: a killed task does when it is killed, and before its failure is recorded.
_BOUNDS = (("core", "dag_file_processor_timeout", 50, 1), ("core", "killed_task_cleanup_time", 60, 2))


def commands(configuration: Configuration) -> Iterator[Fact | Finding]:
    """Look for commands that should have been cancelled, and for a time-out that Airflow cuts short."""
    yield from _timeouts(configuration)
    found = _open(configuration)
    if found is None:
        return
    count, since, trouble = found
    yield Fact("commands", "to be cancelled", str(count))
    waiting = int(time.time() - since) if since else 0
    if count and waiting > LATE:
        yield Finding(
            "commands",
            Severity.WARNING,
            f"{count} commands on outside platforms are to be cancelled, the oldest for {waiting // 60} min.",
            "`airflow-service reconcile` is not run by cron, or a platform, or a connection, refuses it."
            + (f" Of the oldest that was asked for: {trouble}." if trouble else ""),
            "airflow-service reconcile",
        )


def _timeouts(configuration: Configuration) -> Iterator[Finding]:
    asked = configuration.get("service", "external_command_timeout")
    for section, key, default, times in _BOUNDS:
        bound = configuration.get(section, key)
        limit = _number(bound.text) if bound else default
        given = _number(asked.text) if asked else None
        if given is not None and limit is not None and times * given >= limit:
            yield Finding(
                "commands",
                Severity.WARNING,
                f"[service] external_command_timeout is {given:g} s, and [{section}] {key} only {limit:g} s.",
                "The process that asks a platform for the commands of failed tasks is killed before it ends"
                f"{', for a killed task asks twice' if times > 1 else ''}.",
                f"Set external_command_timeout to less, or {key} to more than {times * given:g}.",
            )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _open(configuration: Configuration) -> tuple[int, float | None, str | None] | None:
    """Count what waits; None where the database or the table cannot be looked at, which another check tells of."""
    try:
        from sqlalchemy import inspect, text
        from sqlalchemy.exc import SQLAlchemyError
    except ModuleNotFoundError:
        return None
    value = configuration.get("core", "sql_alchemy_conn")
    connect_args = configuration.get("core", "sql_alchemy_connect_args")
    if value is None or (connect_args is not None and connect_args.text):
        return None
    schema = configuration.get("core", "sql_alchemy_schema")
    name = schema.text if schema and schema.text.strip() else None
    table = f"{name}.external_command" if name else "external_command"
    try:
        with readable_engine(value.text).connect() as connection:
            if not inspect(connection).has_table("external_command", schema=name):
                return None
            count, since = connection.execute(text(_OPEN.format(table=table))).one()
            trouble = connection.execute(text(_TROUBLE.format(table=table))).scalar()
            return int(count), since, trouble
    except (SQLAlchemyError, OSError, ValueError, ImportError):
        return None
