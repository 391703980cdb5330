"""`routes.toml`: the least role for each endpoint and method of the application."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from airflow_service.gateway.roles import Role

# Each may do what those before it may; None is somebody without an assertion.
ORDER = (None, Role.VIEWER, Role.USER, Role.ADMIN)
NOBODY = "nobody"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Those that a table may name. HEAD and OPTIONS follow from them; TRACE and CONNECT have no views."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""

# The least roles of one endpoint, by method.
Needs = Mapping[str, Role | None]


def allows(role: Role | None, least: Role | None) -> bool:
    """Whether a role may do what takes at least another."""
    return ORDER.index(role) >= ORDER.index(least)


def needed(needs: Needs, method: str) -> Role | None:
    """The least role for a method of an endpoint; an admin's where nothing is said."""
    if method == "HEAD":
        method = "GET"
    if method == "OPTIONS" and needs:
        return min(needs.values(), key=ORDER.index)
    return needs.get(method, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The table; `endpoints` are named as Flask names them."""

    endpoints: Mapping[str, Needs]

    @classmethod
    def read(cls) -> RouteTable:
        """The table of this distribution."""
        return cls.parse(files(__package__).joinpath("routes.toml").read_text("utf-8"))

    @classmethod
    def parse(cls, text: str) -> RouteTable:
        """Raises ValueError with all that is wrong with a table's text."""
        endpoints: dict[str, dict[str, Role | None]] = {}
        wrong: list[str] = []
        for view in tomllib.loads(text)["views"]:
            for name in view.pop("names"):
                for function, roles in view.items():
                    endpoint = f"{name}.{function}" if name else function
                    faults = ["it is listed twice"] if endpoint in endpoints else list(_faults(roles))
                    wrong += [f"{endpoint}: {fault}" for fault in faults]
                    endpoints[endpoint] = {} if faults else {one: _role(roles[one]) for one in roles}
        if wrong:
            raise ValueError("; ".join(wrong))
        return cls(endpoints)


def _role(word: str) -> Role | None:
    return None if word == NOBODY else Role(word)


def _faults(roles: object) -> Iterable[str]:
    if not isinstance(roles, dict) or not roles:
        yield "it names no method"
        return
    known = {NOBODY, *Role}
    for method, role in roles.items():
        if method not in METHODS:
            yield f"{method!r} is none of {', '.join(METHODS)}"
        if role not in known:
            yield f"{role!r} is no role"
