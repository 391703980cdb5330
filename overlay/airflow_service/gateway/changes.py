"""A line in the audit log for each change that somebody may make.

The release writes one for the views of its blueprint `airflow` alone: not for its forms of
connections, variables and DAG runs, nor for their bulk actions, plugins, or the API.
"""

from __future__ import annotations

from airflow.models import Log
from airflow.utils.db import create_session
from flask import request

from airflow_service.gateway.request_identity import current_identity
from airflow_service.gateway.route_table import SAFE

# What the table's columns have room for.
_MAX_EVENT = 30
_MAX_ID = 250
_NOTED_BY_ITSELF = "airflow"


def note_change() -> None:
    """Note who calls which endpoint, if the call may change something. The body stays out: it holds secrets."""
    identity, endpoint = current_identity(), request.endpoint
    if identity is None or endpoint is None or request.method in SAFE or request.blueprint == _NOTED_BY_ITSELF:
        return
    # Not the form: to read it here would take the body from the API's views.
    told = {**request.args.to_dict(), **(request.view_args or {})}
    with create_session() as session:
        session.add(
            Log(
                event=endpoint[:_MAX_EVENT],
                task_instance=None,
                owner=identity.subject,
                extra=f"{request.method} {request.path}",
                dag_id=_id(told.get("dag_id")),
                task_id=_id(told.get("task_id")),
            )
        )


def _id(given: str | None) -> str | None:
    return given[:_MAX_ID] if given is not None else None
