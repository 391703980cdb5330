"""Who a request comes from, as the gateway has said and signed."""

from __future__ import annotations

from typing import NamedTuple

from airflow_service.gateway.roles import Role


# Not a dataclass that is frozen: one is made for each new assertion, and takes several times longer.
class Identity(NamedTuple):
    """What one verified assertion says. It holds for the request that carried it, and no longer."""

    subject: str
    """The name in Airflow's user table and in the audit log."""
    role: Role
    name: str
    """To be shown; the subject, if the assertion has none."""
    email: str | None

