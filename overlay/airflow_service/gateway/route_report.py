"""Every route of an application, and what each role gets: `airflow-service routes`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from airflow_service.gateway.route_table import METHODS, ORDER, Needs, RouteTable, allows, needed

if TYPE_CHECKING:
    from flask import Flask

_COLUMNS = ("admin", "user", "viewer", "nobody")
_HEAD = """\
| endpoint | path | method | admin | user | viewer | nobody |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one route, and the status that refuses each role; None where the view answers."""

    endpoint: str
    path: str
    method: str
    known: bool
    """Whether the table of the distribution lists it; if not, it is a plugin's, or forgotten."""
    admin: int | None
    user: int | None
    viewer: int | None
    nobody: int | None


def calls(app: Flask) -> Iterator[Call]:
    """Every method of every route, HEAD and OPTIONS apart, by endpoint and method."""
    from airflow_service.gateway.access import access_of

    table = RouteTable.read().endpoints
    access = access_of(app)
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.endpoint, rule.rule)):
        if rule.build_only:
            # For URLs of assets, which are served before the application.
            continue
        for method in sorted(set(METHODS) & set(rule.methods or ())):
            refused = _refusals(access.endpoints.get(rule.endpoint, {}), method)
            known = method in table.get(rule.endpoint, {})
            yield Call(rule.endpoint, rule.rule, method, known, *refused)


def markdown(app: Flask) -> str:
    """The table as the documentation has it; a path stands as the application knows it, without a prefix."""
    lines = [_line(call) for call in calls(app)]
    return _HEAD + "".join(lines)


def as_json(app: Flask) -> list[dict[str, object]]:
    """The same for programs."""
    return [asdict(call) for call in calls(app)]


def _refusals(needs: Needs, method: str) -> list[int | None]:
    least = needed(needs, method)
    return [None if allows(role, least) else 401 if role is None else 403 for role in reversed(ORDER)]


def _line(call: Call) -> str:
    cells = [f"{getattr(call, name) or 'yes'}" for name in _COLUMNS]
    return f"| {call.endpoint} | `{call.path}` | {call.method} | {' | '.join(cells)} |\n"
