"""How a key of a configuration section is declared: how it is read, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(Generic[T]):
    """How one key is read from its text, and what is said about it."""

    parse: Callable[[str], T]
    """Raises ValueError with what is wrong."""
    allowed: str
    description: str
    since: str
    """The first release that knows the key."""
    default: str = ""
    """As it would be written in airflow.cfg."""
    secret: bool = False
    """Never shown; may be given by a command or a secrets backend, as upstream's are."""


def declare(option: Option[T]) -> Any:
    """A dataclass field for an option."""
    return field(default=option.parse(option.default), metadata={"option": option})


def declared(settings: type) -> dict[str, Option[Any]]:
    """The options of a settings class, by name: its own in the order of declaration, then inherited ones."""
    own = sorted(fields(settings), key=lambda one: one.name not in settings.__annotations__)
    return {one.name: one.metadata["option"] for one in own}
