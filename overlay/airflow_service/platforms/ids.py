"""What an operator keeps of its command: the id, a number, and the connection."""

from __future__ import annotations

from typing import Any

MOST = 2**63 - 1
"""The greatest number that the platforms' databases and APIs have room for."""


def parse_number(value: object) -> int:
    """Take a positive whole number, as JSON has it. Raises ValueError for anything else, the text of one included."""
    if type(value) is not int:
        raise ValueError("the command's id is no whole number")
    if not 0 < value <= MOST:
        raise ValueError("the command's id is out of range")
    return value


def named_connection(task: Any, attribute: str) -> str:
    """Give the connection that an operator keeps in an attribute. Raises LookupError."""
    found = getattr(task, attribute, None)
    if not isinstance(found, str) or not found:
        raise LookupError(f"the task has no {attribute}")
    return found
