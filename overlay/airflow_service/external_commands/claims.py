"""Who is settling a command, so that nobody else cancels it too; a claim ends by itself."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import or_

from airflow_service.external_commands.rows import Row
from airflow_service.external_commands.table import TABLE, chunks, rows_where, update


def free_of(connection: Any, rows: Sequence[Row]) -> list[Row]:
    """Give those of some commands that are still open, as they are now, and that nobody is settling."""
    found: list[Row] = []
    for chunk in chunks([row.id for row in rows]):
        found += rows_where(connection, TABLE.c.id.in_(chunk), TABLE.c.ended.is_(None), _unclaimed())
    return found


def claim(connection: Any, rows: Sequence[Row], seconds: float) -> set[int]:
    """Take commands for this process for so long; the ids of those that nobody else has."""
    owner, now = uuid.uuid4().hex, time.time()
    mine: set[int] = set()
    # In one order, whoever claims: two that lock the same rows in orders of their own lock each other out.
    for row in sorted(rows, key=lambda row: row.id):
        taken = connection.execute(
            TABLE.update()
            .where(TABLE.c.id == row.id, TABLE.c.ended.is_(None), _unclaimed(now))
            .values(claimed_by=owner, claimed_until=now + seconds)
        )
        if taken.rowcount == 1:
            mine.add(row.id)
    return mine


def release(connection: Any, ids: Iterable[int]) -> None:
    """Give up the claim to commands."""
    update(connection, list(ids), claimed_by=None, claimed_until=None)


def _unclaimed(now: float | None = None) -> Any:
    return or_(TABLE.c.claimed_until.is_(None), TABLE.c.claimed_until < (now or time.time()))
