"""The commands of a task instance's try: from the table, or adopted from its XCom."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from airflow import settings

from airflow_service.external_commands import registry, settling, table
from airflow_service.external_commands.accounts import account_of, connection_within
from airflow_service.external_commands.command_ids import xcom_id
from airflow_service.external_commands.platform import Platform
from airflow_service.external_commands.recording import OWN_TRY
from airflow_service.external_commands.rows import Row, TaskKey

log = logging.getLogger(__name__)

OWN_CONNECTION = "_external_command_connection"
"""What it keeps the try's connection by, for the time that the database is gone."""
_temporary = itertools.count(-1, -1)
"""Ids of rows that could not be written."""


def platform_of(instance: Any, *, tested: bool = False) -> Platform | None:
    """Give the platform of a task instance that is really run, or is if `tested`."""
    if (instance.test_mode and not tested) or getattr(instance, "task", None) is None:
        return None
    return registry.of_task(instance.task)


def new_row(
    instance: Any,
    platform: Platform,
    connection_id: str,
    command_id: str,
    try_number: int,
    moment: float,
    account: str | None = None,
) -> Row:
    """Make the row of a command that the table does not have."""
    key, decides = TaskKey.of(instance), platform.decides(instance.task)
    return Row(
        next(_temporary), platform.name, connection_id, command_id, key, try_number, moment, decides, account=account
    )


def rows_of(instance: Any, try_number: int | None = None) -> list[Row]:
    """Give the commands of a task instance, or of one of its tries, that the table has."""
    with settings.engine.connect() as connection:
        if not table.exists(connection):
            return []
        rows = table.of_task(connection, TaskKey.of(instance))
    return [row for row in rows if try_number in (None, row.try_number)]


def rows_at_work(instance: Any, rows: Sequence[Row]) -> list[Row]:
    """Give those of a running task instance's commands that are its try's; the XCom's if the table has none."""
    platform = platform_of(instance)
    if platform is None:
        return []
    own = instance.__dict__.get(OWN_TRY, instance._try_number)
    mine = [row for row in rows if row.try_number == own]
    return mine or adopted(instance, platform, rows, own, current=True)


def own_rows(instance: Any) -> list[Row]:
    """Give the commands of a running task instance's try."""
    return rows_at_work(instance, rows_of(instance))


def adopted(
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
    connection_id, moment = connection_id_of(instance, platform), stored.stored_at.timestamp()
    row = new_row(instance, platform, connection_id, str(stored.command_id), try_number, moment)
    try:
        table.create(settings.engine)
        with settings.engine.begin() as connection:
            table.add(connection, row)
        return [each for each in rows_of(instance, try_number) if each.command_id == row.command_id]
    except Exception:
        log.exception("The table of commands on outside platforms cannot be written")
        return [row]


def known_connection(instance: Any, platform: Platform) -> Any:
    """Give the connection that a try is about to use; None if it cannot be had."""
    try:
        connection_id = connection_id_of(instance, platform)
    except Exception:
        # Its operator will say so.
        return None
    return connection_within(connection_id, settling.settings().external_command_timeout)


def account_at_start(instance: Any, platform: Platform, connection_id: str) -> str | None:
    """Say which account a try has just started a command at; None if its connection cannot be had."""
    connection = instance.__dict__.get(OWN_CONNECTION)
    if connection is None or connection.conn_id != connection_id:
        connection = connection_within(connection_id, settling.settings().external_command_request_timeout)
    try:
        return None if connection is None else account_of(platform, connection)
    except Exception:
        log.exception("The account of the connection %s is not known", connection_id)
        return None


def connection_id_of(instance: Any, platform: Platform) -> str:
    """Give the connection that a task's operator names; where it is a template, as it is when rendered."""
    given: str = platform.connection_id(instance.task)
    if "{{" in given or "{%" in given:
        given = instance.task.render_template(given, instance.get_template_context())
    return given
