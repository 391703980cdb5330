"""XComs that are JSON wherever XComs are pickled: whole numbers, such as the ids of commands on platforms.

Whoever reads such an id need not unpickle what a task wrote. No pickle looks like a
number: each ends in a dot.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(rb"-?[0-9]+")


def is_number(value: object) -> bool:
    """Whether a value is stored as JSON, also with pickling. True and False are no numbers."""
    return type(value) is int


def holds_number(stored: bytes | None) -> bool:
    """Whether what is stored is such a number."""
    return stored is not None and _NUMBER.fullmatch(stored) is not None
