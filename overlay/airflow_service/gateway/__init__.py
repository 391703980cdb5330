"""The gateway's part in the webserver: `[webserver] auth_backend` and `[api] auth_backend`.

A control plane in front of Airflow authenticates, and signs who a request comes from
and as what. Airflow asks this module for a login manager and for an authentication of
the API; what they are is in `backend`, which is read when they are asked for, so that
a command that only checks settings needs neither Flask nor a database.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_OF_BACKEND = frozenset(
    {
        *("LOGIN_MANAGER", "login", "load_user", "login_required", "current_user", "logout_user"),
        *("CLIENT_AUTH", "init_app", "requires_authentication"),
    }
)


def __getattr__(name: str) -> Any:
    if name in _OF_BACKEND:
        return getattr(import_module("airflow_service.gateway.backend"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
