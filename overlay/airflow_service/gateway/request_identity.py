"""Who the current request comes from. Apart from `identity`, since what verifies assertions needs no Flask."""

from __future__ import annotations

from typing import cast

from flask import g, has_app_context

from airflow_service.gateway.identity import Identity

_IN_REQUEST = "airflow_service_identity"


def current_identity() -> Identity | None:
    """Who this request comes from; None if nobody has been verified, or outside of a request."""
    return cast("Identity | None", g.get(_IN_REQUEST)) if has_app_context() else None


def set_current_identity(identity: Identity | None) -> None:
    """For the hook that verifies requests, and for nobody else."""
    setattr(g, _IN_REQUEST, identity)
