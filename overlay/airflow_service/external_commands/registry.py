"""The platforms that are installed, by entry points of the group `airflow_service.platforms`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from airflow_service.external_commands.platform import Platform

GROUP = "airflow_service.platforms"
_TEXTS = ("name", "label", "xcom_key")
_METHODS = ("connection_id", "decides", "parse_id", "page_url", "client")
_MAX_NAME = 50
"""What a row that remembers a command has room for."""

log = logging.getLogger(__name__)


@cache
def platforms() -> tuple[Platform, ...]:
    """All that could be loaded, in the order of their names.

    One that is broken is logged and left out: it must not fail the tasks of the others, nor its own.
    """
    found: dict[str, Platform] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        platform = _loaded(entry)
        if platform is None:
            continue
        if entry.name in found:
            log.error("The platform %s is registered twice; %s is left out", entry.name, entry.value)
            continue
        found[entry.name] = platform
    return tuple(found.values())


def named(name: str) -> Platform | None:
    """Give the platform of that name, if it is installed."""
    return next((platform for platform in platforms() if platform.name == name), None)


def of_classes(names: Iterable[str]) -> Platform | None:
    """Give the platform of an operator, by the dotted names of its class and of those that it descends from.

    The nearest class decides, so that the caller gives them in the order of descent.
    """
    by_operator = {operator: platform for platform in platforms() for operator in platform.operators}
    return next((by_operator[name] for name in names if name in by_operator), None)


def of_task(task: Any) -> Platform | None:
    """Give the platform of a task's operator: the object that the DAG's file made."""
    return of_classes(class_names(type(task)))


def class_names(operator: type) -> tuple[str, ...]:
    """Give the dotted names of a class and of those that it descends from, nearest first."""
    return tuple(f"{each.__module__}.{each.__qualname__}" for each in operator.__mro__)


def _loaded(entry: EntryPoint) -> Platform | None:
    try:
        platform = entry.load()
        fault = _fault(platform, entry.name)
    except Exception:  # whatever an installed distribution may do at import
        log.exception("The platform %s (%s) does not load and is left out", entry.name, entry.value)
        return None
    if fault is not None:
        log.error("The platform %s (%s) is left out: %s", entry.name, entry.value, fault)
        return None
    return cast("Platform", platform)


def _fault(platform: object, name: str) -> str | None:
    for text in _TEXTS:
        if not isinstance(getattr(platform, text, None), str) or not getattr(platform, text):
            return f"its {text} is no text"
    for method in _METHODS:
        if not callable(getattr(platform, method, None)):
            return f"it has no method {method}"
    if getattr(platform, "name", None) != name or len(name) > _MAX_NAME:
        return f"its name is not its entry point's, {name}, or has more than {_MAX_NAME} characters"
    operators = getattr(platform, "operators", None)
    if not isinstance(operators, tuple) or not all(isinstance(each, str) for each in operators):
        return "its operators are no tuple of texts"
    return None
