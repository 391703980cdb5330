"""What a plugin says of its own views: the attribute `least_role`.

On a Flask-Admin view (its class or the object), on a Flask blueprint, or on one
view function, which then goes before the others:

    class Report(BaseView):
        least_role = "user"

    blueprint.least_role = {"GET": "viewer", "POST": "admin"}

Without one, or with one that cannot be read, the views are for admins alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from airflow_service.gateway.roles import Role
from airflow_service.gateway.route_table import METHODS, ORDER, SAFE, Needs

ATTRIBUTE = "least_role"

log = logging.getLogger(__name__)


def declared(endpoint: str, methods: Iterable[str], function: Any, *owners: Any) -> Needs:
    """The least roles of a plugin's endpoint; the first of function and owners that says something counts.

    Whatever is declared, a viewer changes nothing: other methods than GET take a
    user. Nothing of a plugin is open to nobody.
    """
    for source in (function, *owners):
        said = getattr(source, ATTRIBUTE, None)
        if said is not None:
            return {method: _role(endpoint, method, said) for method in methods}
    return dict.fromkeys(methods, Role.ADMIN)


def _role(endpoint: str, method: str, said: object) -> Role:
    word = said.get(method, Role.ADMIN) if isinstance(said, dict) else said
    try:
        role = Role(word)  # type: ignore[arg-type]  # whatever the plugin's author wrote
    except ValueError:
        log.error(
            "%s of %s is %r: neither one of %s nor a table of them by method (%s). It is for admins alone.",
            ATTRIBUTE, endpoint, said, ", ".join(Role), ", ".join(METHODS),
        )  # fmt: skip
        return Role.ADMIN
    return role if method in SAFE else max(role, Role.USER, key=ORDER.index)
