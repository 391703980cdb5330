"""What Airflow asks of `[webserver] auth_backend` and of `[api] auth_backend`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import flask_login
from flask import Flask, Response, g, redirect, url_for
from flask_login import current_user, login_required, logout_user

from airflow_service.gateway.answers import refusal
from airflow_service.gateway.request_identity import current_identity
from airflow_service.gateway.users import GatewayUser

__all__ = ["CLIENT_AUTH", "LOGIN_MANAGER", "current_user", "init_app", "load_user", "login", "login_required"]
__all__ += ["logout_user", "requires_authentication"]

CLIENT_AUTH = None
"""`airflow` itself has no assertion to show: its command line works on the database, not on the API."""

LOGIN_MANAGER = flask_login.LoginManager()
# A session says nothing about who somebody is, so that there is nothing in it to protect.
LOGIN_MANAGER.session_protection = None


def load_user(_user_id: str | None = None) -> GatewayUser | None:
    """The user of this request's assertion, whatever a session or a cookie says."""
    identity = current_identity()
    return GatewayUser(identity) if identity is not None else None


LOGIN_MANAGER.user_loader(load_user)
LOGIN_MANAGER.request_loader(lambda _request: load_user())
LOGIN_MANAGER.unauthorized_handler(lambda: refusal(401))


def login(_view: Any, _request: Any) -> Response:
    """There is nothing to log in to: who gets here has been verified."""
    response: Response = redirect(url_for("admin.index"))
    return response


def init_app(_app: Flask) -> None:
    """For the API: its requests pass the hook of the application, as all do."""


def requires_authentication(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let nobody to a view of the API whom the hook has not verified."""

    @wraps(function)
    def verified(*arguments: Any, **values: Any) -> Any:
        identity = current_identity()
        if identity is None:
            return refusal(401)
        g.user = identity.subject
        return function(*arguments, **values)

    return verified
