"""The roles that a gateway can give, and how its own words are read as them."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OTHERS = "*"
"""In a map, every value that it does not name."""


class Role(enum.StrEnum):
    """What someone may do in a cluster, the most first."""

    ADMIN = "admin"
    """All pages."""
    USER = "user"
    """All but the Admin menu and Data Profiling."""
    VIEWER = "viewer"
    """Sees what a user sees, and changes nothing."""


_BY_NAME = {role.value: role for role in Role}


@dataclass(frozen=True, slots=True)
class RoleMap:
    """Which values of a claim stand for which role; false if there are none."""

    roles: Mapping[str, Role]

    @classmethod
    def parse(cls, text: str) -> RoleMap:
        """Read `{"value of the gateway": "admin", …}`; nothing is an empty map.

        ValueError says what is wrong, and quotes no more than one value.
        """
        if not text.strip():
            return cls({})
        try:
            pairs = json.loads(text, object_pairs_hook=list)
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
        if not text.lstrip().startswith("{") or not pairs:
            raise ValueError("it is not a JSON object with at least one entry")
        found: dict[str, Role] = {}
        for value, role in pairs:
            if role not in list(Role):
                raise ValueError(f"what {value!r:.100} leads to is no role")
            if value in found:
                raise ValueError(f"it names {value!r:.100} twice")
            found[value] = Role(role)
        return cls(found)

    def role_of(self, claim: Any) -> Role:
        """The role that a claim stands for; ValueError if it stands for none.

        Without entries the claim is the role itself, spelt as here. With them, it is a text
        or a list of texts, such as somebody's groups: the highest role that any of them
        leads to, since whoever is in two groups may do what either may.
        """
        if not self.roles:
            if not isinstance(claim, str):
                raise ValueError(f"it is no text but {_kind(claim)}, and gateway_role_map is not set")
            role = _BY_NAME.get(claim)
            if role is None:
                raise ValueError("it is none of admin, user and viewer")
            return role
        values: list[Any] = claim if isinstance(claim, list) else [claim]
        if not values or not all(isinstance(value, str) and value for value in values):
            raise ValueError("it is neither a text nor a list of texts")
        found = {self.roles[value] for value in values if value in self.roles}
        if not found and OTHERS in self.roles:
            return self.roles[OTHERS]
        for role in Role:
            if role in found:
                return role
        raise ValueError("gateway_role_map names none of its values")

    def __bool__(self) -> bool:
        return bool(self.roles)

    def __str__(self) -> str:
        return json.dumps(dict(self.roles)) if self.roles else ""


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else type(value).__name__
