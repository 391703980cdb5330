"""Routes of the tree's webserver, and the endpoint that a path belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from builder.url_check.texts import HOLE, Kind, kind_of, path_of

# What Flask-Admin's model views bring, by the names of its documentation.
MODEL_VIEW = {
    "index_view": "/",
    "create_view": "/new/",
    "edit_view": "/edit/",
    "details_view": "/details/",
    "delete_view": "/delete/",
    "action_view": "/action/",
    "export": "/export/<export_type>/",
    "ajax_lookup": "/ajax/lookup/",
    "ajax_update": "/ajax/update/",
}
_PARAMETER = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")


@dataclass(frozen=True, slots=True)
class Route:
    """A rule in Flask's spelling, and the endpoint that it leads to."""

    rule: str
    endpoint: str

    @property
    def steps(self) -> list[str]:
        """The rule's steps; one that is a parameter is `*`, one that takes the rest `**`."""
        pattern = _PARAMETER.sub(lambda found: "**" if found[1] == "path" else "*", self.rule)
        return _steps(pattern)

    @property
    def parameters(self) -> list[str]:
        return [found[2] for found in _PARAMETER.finditer(self.rule)]


class Routes:
    """All routes of a tree. `open_views` may have routes that only their library knows."""

    def __init__(self, routes: Iterable[Route], open_views: Iterable[str] = ()) -> None:
        every = sorted(set(routes), key=lambda route: (route.rule, route.endpoint))
        self.rules: dict[str, set[str]] = {}
        for route in every:
            self.rules.setdefault(route.endpoint, set()).add(route.rule)
        # A rule that is computed names an endpoint, and no path.
        self.routes = [route for route in every if route.rule]
        self._views = {endpoint.rpartition(".")[0] for endpoint in self.rules}
        self._open = frozenset(open_views)

    def find(self, text: str) -> Route | None:
        """The route that a text leads to, the one with most literal steps of several."""
        steps = _steps(path_of(text))
        fitting = [route for route in self.routes if _fits(steps, route.steps)]
        return max(fitting, key=lambda route: (_literal(route.steps), len(route.steps)), default=None)

    def is_distinctive(self, text: str) -> bool:
        """Whether a text leads to a route by two literal steps or more; with files, `/static/x.js` does.

        One step, such as `/log`, is as likely to be a file's path.
        """
        steps = _steps(path_of(text))
        route = self.find(text)
        if route is not None:
            enough = _literal(route.steps) >= 2 or "**" in route.steps
            return enough and sum(HOLE not in step for step in steps) >= 2
        return self._beginning(steps) is not None

    def is_tail(self, text: str) -> bool:
        """Whether a text is the last two literal steps, or more, of a longer route."""
        steps = _steps(path_of(text))
        return len(steps) >= 2 and any(
            len(route.steps) > len(steps) and route.steps[-len(steps) :] == steps for route in self.routes
        )

    def kind_of(self, text: str) -> Kind | None:
        """How a text names its place. What follows something computed counts if a route ends, or is, like that."""
        kind = kind_of(text)
        if kind in (None, Kind.JOINED) and text.startswith(HOLE):
            return Kind.JOINED if self.is_distinctive(text) or self.is_tail(text) else None
        return kind

    def lacks(self, endpoint: str) -> bool:
        """Whether an endpoint is surely not there: its view is known, and has no such route, or is misspelt."""
        view = endpoint.rpartition(".")[0]
        if endpoint in self.rules:
            return False
        return view not in self._open if view in self._views else self._is_misspelt(view)

    def _is_misspelt(self, view: str) -> bool:
        """Whether a view, which may be a library's, is one of the tree but for case or a letter."""
        known = {each.lower() for each in self._views if each}
        near = get_close_matches(view.lower(), known, n=1, cutoff=0.9)
        return bool(near) and near[0].rstrip("s") != view.rstrip("s")

    def url_for(self, text: str) -> str:
        """The call that a text should be, or nothing if it leads to no route."""
        route = self.find(text)
        if route is None:
            route = self._beginning(_steps(path_of(text)))
            return f"url_for('{route.endpoint.rpartition('.')[0]}.…')" if route else ""
        values = dict(zip(route.parameters, self._values(text, route), strict=False))
        given = "".join(f", {name}={value}" for name, value in values.items())
        same = [other.endpoint for other in self.routes if other.rule == route.rule]
        return " or ".join(f"url_for('{endpoint}'{given})" for endpoint in same)

    def _beginning(self, steps: list[str]) -> Route | None:
        """A route that begins with the literal steps before a computed one, if these are two or more."""
        literal = next((number for number, step in enumerate(steps) if HOLE in step), 0)
        if literal < 2:
            return None
        return next((route for route in self.routes if route.steps[:literal] == steps[:literal]), None)

    def _values(self, text: str, route: Route) -> list[str]:
        steps, values = _steps(path_of(text)), []
        for number, step in enumerate(route.steps):
            if "*" in step:
                value = "/".join(steps[number:]) if "**" in step else steps[number]
                values.append("…" if HOLE in value or "<" in value else f"'{value}'")
        return values


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step]


def _literal(steps: list[str]) -> int:
    return sum("*" not in step for step in steps)


def _fits(steps: list[str], rule: list[str]) -> bool:
    """Whether the steps of a text can be those of a rule."""
    for number, wanted in enumerate(rule):
        if number >= len(steps):
            # `/export/` + name: what follows is computed.
            return False
        if "**" in wanted:
            return True
        given = steps[number]
        if wanted != given and "*" not in wanted and not _can_be(given, wanted):
            return False
    rest = steps[len(rule) :]
    return all(step.strip(HOLE) == "" for step in rest) and (bool(rule) or not steps)


def _can_be(given: str, wanted: str) -> bool:
    """Whether a step with computed parts can be the one wanted; one that is all computed cannot."""
    if HOLE not in given or not given.strip(HOLE):
        return False
    return re.fullmatch(".*".join(map(re.escape, given.split(HOLE))), wanted) is not None
