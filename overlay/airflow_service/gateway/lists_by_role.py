"""Flask-Admin's lists without the buttons, links and bulk actions that the server would refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Whether who asks may call an endpoint by a method; `access.may`.
May = Callable[[str, str], bool]

# What Flask-Admin's templates ask a view for, and the call behind what they then draw.
_CALLS = {
    "can_create": ("create_view", "GET"),
    "can_edit": ("edit_view", "GET"),
    "can_delete": ("delete_view", "POST"),
}


def draw_by_role(view: Any, may: May) -> None:
    """Let a model's view say of itself that it can only what who asks may do."""
    own = type(view)
    if not hasattr(own, "can_create"):
        return  # no model's

    def is_action_allowed(self: Any, name: str) -> bool:
        allowed: bool = own.is_action_allowed(self, name)
        return allowed and may(f"{self.endpoint}.action_view", "POST")

    changes = {name: _permitted(own, name, *call, may) for name, call in _CALLS.items()}
    # Class attributes of the release's, which are read where a page is drawn: a class of
    # this application's own has them decide by request.
    view.__class__ = type(own.__name__, (own,), {**changes, "is_action_allowed": is_action_allowed})


def _permitted(own: type, name: str, function: str, method: str, may: May) -> property:
    switched_on = bool(getattr(own, name))
    return property(lambda self: switched_on and may(f"{self.endpoint}.{function}", method))
