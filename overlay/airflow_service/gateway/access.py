"""The roles, enforced: each request is judged by the endpoint and method that it was routed to.

By the endpoint, not by the path: however a path is spelled, it is this same
endpoint whose view would run. `airflow/www/app.py` calls `enforce_roles`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, current_app, request

from airflow_service.gateway.answers import refusal
from airflow_service.gateway.declared_roles import declared
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.lists_by_role import draw_by_role
from airflow_service.gateway.request_identity import current_identity
from airflow_service.gateway.roles import Role
from airflow_service.gateway.route_table import METHODS, Needs, RouteTable, allows, needed
from airflow_service.gateway.settings import read_gateway
from airflow_service.request_hooks import run_before_tokens

log = logging.getLogger(__name__)

_EXTENSION = "airflow_service.access"


@dataclass(frozen=True, slots=True)
class Access:
    """What each endpoint of an application needs."""

    endpoints: Mapping[str, Needs]
    enforced: bool

    @classmethod
    def of(cls, app: Flask, admin: Any) -> Access:
        """The table's endpoints as they stand, and a plugin's as it declares them."""
        table = RouteTable.read().endpoints
        owners = {view.endpoint: view for view in admin._views}
        methods: dict[str, set[str]] = {}
        for rule in app.url_map.iter_rules():
            methods.setdefault(rule.endpoint, set()).update(set(METHODS) & set(rule.methods or ()))
        endpoints: dict[str, Needs] = dict(table)
        for endpoint in methods.keys() - table.keys():
            name = endpoint.rpartition(".")[0]
            sources = app.view_functions.get(endpoint), owners.get(name), app.blueprints.get(name)
            endpoints[endpoint] = declared(endpoint, sorted(methods[endpoint]), *sources)
        return cls(endpoints, enforced=read_gateway() is not None)

    def least(self, endpoint: str, method: str) -> Role | None:
        """The least role for a call; None if no assertion is asked for."""
        return needed(self.endpoints.get(endpoint, {}), method)

    def allow(self, identity: Identity | None, endpoint: str, method: str) -> bool:
        """Whether someone may make a call. Without a gateway it is upstream's views that decide."""
        role = identity.role if identity is not None else None
        return not self.enforced or allows(role, self.least(endpoint, method))


def enforce_roles(app: Flask, admin: Any) -> None:
    """Judge each request to `app` by role, and leave out of the menu what someone may not open."""
    from airflow.plugins_manager import menu_links

    access = Access.of(app, admin)
    app.extensions[_EXTENSION] = access
    app.jinja_env.globals["may"] = may
    if not access.enforced:
        return
    from airflow_service.gateway.changes import note_change

    run_before_tokens(app, judge)
    # Behind the check of a form's token: what it refuses is no change.
    app.before_request(note_change)
    table = RouteTable.read().endpoints
    for view in admin._views:
        default = f"{view.endpoint}.{view._default_view}"
        view.is_visible = partial(_visible, default, view.is_visible)
        if default in table:
            # Upstream's own mind knows two levels only. A plugin's view keeps its own besides.
            view.is_accessible = partial(may, default)
        draw_by_role(view, may)
    for link in menu_links:
        link.is_accessible = partial(_shown, declared(f"the menu's link {link.name}", ["GET"], link)["GET"])


def judge() -> Response | None:
    """The answer to a request that may not be made; None if it may."""
    endpoint = request.endpoint
    identity = current_identity()
    least = access_of(current_app).least(endpoint, request.method) if endpoint is not None else Role.VIEWER
    if identity is None:
        return refusal(401) if least is not None else None
    # A path without a view, or without this method, is told so by Flask; there is nothing to be had.
    if endpoint is None or least is None or allows(identity.role, least):
        return None
    log.warning(
        "Refused %s %s: it takes %s, and %r is %s", request.method, endpoint, least, identity.subject, identity.role
    )
    return refusal(
        403,
        text=f"{request.method} {request.path} is for the role {least}. You are {identity.name}, with the role "
        f"{identity.role} on this cluster. Roles are given where you log in, not here.",
    )


def may(endpoint: str, method: str = "GET") -> bool:
    """For templates: whether who asks may make a call."""
    return access_of(current_app).allow(current_identity(), endpoint, method)


def access_of(app: Flask) -> Access:
    """What `enforce_roles` has made of an application's routes."""
    access: Access = app.extensions[_EXTENSION]
    return access


def _visible(endpoint: str, own: Callable[[], bool]) -> bool:
    return may(endpoint) and own()


def _shown(least: Role | None) -> bool:
    identity = current_identity()
    return identity is not None and allows(identity.role, least)
