"""Who a request comes from, as the gateway has said and signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from airflow_service.gateway.roles import Role

_IN_REQUEST = "airflow_service_identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """What one verified assertion says. It holds for the request that carried it, and no longer."""

    subject: str
    """The name in Airflow's user table and in the audit log."""
    role: Role
    name: str
    """To be shown; the subject, if the assertion has none."""
    email: str | None


def current_identity() -> Identity | None:
    """Who this request comes from; None if nobody has been verified, or outside of a request."""
    from flask import g, has_app_context  # not above: what verifies assertions needs no Flask

    return cast("Identity | None", g.get(_IN_REQUEST)) if has_app_context() else None


def set_current_identity(identity: Identity | None) -> None:
    """For the hook that verifies requests, and for nobody else."""
    from flask import g

    setattr(g, _IN_REQUEST, identity)
