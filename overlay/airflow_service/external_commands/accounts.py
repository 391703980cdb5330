"""Connections, as long as they take to be had, and the accounts that they lead to."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from typing import Any

from airflow.hooks.base_hook import BaseHook

from airflow_service.external_commands.platform import Platform
from airflow_service.external_commands.side_by_side import side_by_side

log = logging.getLogger(__name__)

NAMED = "external_account"
_MOST = 250
_THREADS = 32


def account_of(platform: Platform, connection: Any) -> str:
    """Say by which account a connection's commands have their ids: an address, with no secrets in it.

    The connection's extra `external_account` says it, for an account that is reached at several addresses; else the
    platform's `account`, if it has one. Raises ValueError for a connection that lacks what is needed.
    """
    if named := connection.extra_dejson.get(NAMED):
        return str(named)[:_MOST]
    own = getattr(platform, "account", None)
    if callable(own):
        return str(own(connection))[:_MOST]
    host = re.sub(r"//[^/@]*@", "//", connection.host or "").rstrip("/")
    parts = (host, connection.port, connection.schema, connection.login)
    return " ".join(str(part) for part in parts if part)[:_MOST]


def moved_to(platform: Platform, connection: Any, started_at: str | None) -> str | None:
    """Give the account that a connection leads to, if a command was started at another: there, its id is a stranger's.

    None if it is the same, or if it is not known where the command was started. Raises ValueError as `account_of`.
    """
    if started_at is None:
        return None
    account = account_of(platform, connection)
    return None if account == started_at else account


def connections_of(connection_ids: Iterable[str], deadline: float) -> dict[str, Any]:
    """Look connections up, side by side; each as it is, or as the exception that was raised for it.

    Those that are not there by the deadline, of `time.monotonic()`, are missing. It is done in threads, since
    a secrets backend may hang, and since what ends a task is raised in the main thread alone: here it is not lost.
    """

    def one(connection_id: str) -> Any:
        try:
            return BaseHook.get_connection(connection_id)
        except Exception as error:
            return error

    return side_by_side(one, dict.fromkeys(connection_ids), _THREADS, deadline)


def connection_within(connection_id: str, seconds: float) -> Any:
    """Look a connection up; None if it cannot be had in time."""
    found = connections_of([connection_id], time.monotonic() + seconds).get(connection_id)
    return None if isinstance(found, Exception) else found
