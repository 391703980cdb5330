"""What an operator that derives from a platform's own leaves to its command."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

OPT_IN = "command_decides"
"""A class attribute by which an operator says that its command's success is, or is not, the task's."""


def leaves_all_to_command(task: Any, operators: Container[str]) -> bool:
    """Tell whether a task has nothing left to do once its command has succeeded.

    It may have, where a class between the operator's and the platform's has an `execute` or a
    `post_execute` of its own, unless that one, or one derived from it, says otherwise.
    """
    for each in type(task).__mro__:
        if OPT_IN in vars(each):
            return vars(each)[OPT_IN] is True
        if f"{each.__module__}.{each.__qualname__}" in operators:
            return True
        if "execute" in vars(each) or "post_execute" in vars(each):
            return False
    return False
