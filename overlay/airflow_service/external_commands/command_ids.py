"""The id of a task instance's command: from its XCom, or from the table of commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.models.xcom import BaseXCom
from sqlalchemy import func, select

from airflow_service.external_commands import table
from airflow_service.external_commands.platform import CommandId, Platform
from airflow_service.external_commands.rows import Row, TaskKey

_MAX_BYTES = 1000
"""No id is longer; what is, is not fetched."""


@dataclass(frozen=True, slots=True)
class StoredId:
    """An id as an XCom has it."""

    command_id: CommandId
    stored_at: datetime


def xcom_id(connection: Any, platform: Platform, instance: Any) -> StoredId | None:
    """Read the XCom in which a task instance's operator keeps its command's id; None if there is none.

    It is read as JSON, and never unpickled: a pickle runs what it says. `connection` is a connection or
    a session, `instance` has `dag_id`, `task_id` and `execution_date`. ValueError says what stands there
    instead of an id.
    """
    xcom = BaseXCom.__table__
    mine = (
        xcom.c.key == platform.xcom_key,
        xcom.c.dag_id == instance.dag_id,
        xcom.c.task_id == instance.task_id,
        xcom.c.execution_date == instance.execution_date,
    )
    columns = xcom.c.id, xcom.c.timestamp, func.length(xcom.c.value).label("length")
    newest = connection.execute(select(*columns).where(*mine).order_by(xcom.c.timestamp.desc())).first()
    if newest is None or newest.length is None:
        return None
    if newest.length > _MAX_BYTES:
        raise ValueError(f"it has {newest.length} bytes")
    content = connection.execute(select(xcom.c.value).where(xcom.c.id == newest.id)).scalar()
    return StoredId(parse(platform, bytes(content or b"")), newest.timestamp)


def parse(platform: Platform, content: bytes) -> CommandId:
    """Take an id from an XCom's bytes; ValueError says what they are instead."""
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON" + (", but a pickle" if is_pickle(content) else "")) from None
    return platform.parse_id(value)


def is_pickle(content: bytes) -> bool:
    """Tell whether an XCom's bytes are what `[core] enable_xcom_pickling` makes."""
    return content[:1] == b"\x80" and content[-1:] == b"."


def last_id(connection: Any, platform: Platform, instance: Any) -> tuple[CommandId, Row | None] | None:
    """Give the id of a task instance's last command, and what was noted of it, if anything; None without a command.

    The XCom is looked at first. If it is missing, or a pickle, the table of commands is. ValueError as
    for `xcom_id`.
    """
    noted = {row.command_id: row for row in _noted(connection, platform, instance)}
    try:
        stored = xcom_id(connection, platform, instance)
    except ValueError:
        if not noted or not _holds_pickle(connection, platform, instance):
            raise
        stored = None
    if stored is not None:
        return stored.command_id, noted.get(str(stored.command_id))
    if not noted:
        return None
    last = list(noted.values())[-1]
    return id_of_text(platform, last.command_id), last


def id_of_text(platform: Platform, text: str) -> CommandId:
    """Give an id back as the platform had it, from the table's text. ValueError if it is none of its ids."""
    try:
        return platform.parse_id(text)
    except ValueError:
        return platform.parse_id(json.loads(text))


def _noted(connection: Any, platform: Platform, instance: Any) -> list[Row]:
    bind = connection.connection() if callable(getattr(connection, "connection", None)) else connection
    if not table.exists(bind):
        return []
    rows = table.of_task(connection, TaskKey.of(instance))
    return [row for row in rows if row.platform == platform.name]


def _holds_pickle(connection: Any, platform: Platform, instance: Any) -> bool:
    xcom = BaseXCom.__table__
    content = connection.execute(
        select(xcom.c.value)
        .where(
            xcom.c.key == platform.xcom_key,
            xcom.c.dag_id == instance.dag_id,
            xcom.c.task_id == instance.task_id,
            xcom.c.execution_date == instance.execution_date,
        )
        .order_by(xcom.c.timestamp.desc())
    ).scalar()
    return is_pickle(bytes(content or b""))
