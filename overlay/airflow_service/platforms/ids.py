"""Ids of commands that are numbers."""

from __future__ import annotations

MOST = 2**63 - 1
"""The greatest number that the platforms' databases and APIs have room for."""


def parse_number(value: object) -> int:
    """Take a positive whole number, as JSON has it. Raises ValueError for anything else, the text of one included."""
    if type(value) is not int:
        raise ValueError("the command's id is no whole number")
    if not 0 < value <= MOST:
        raise ValueError("the command's id is out of range")
    return value
