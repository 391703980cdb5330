"""Where a hook stands among those that Flask runs before a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

_TOKEN_CHECK = "csrf_protect"


def run_before_tokens(app: Flask, hook: Callable[[], Any]) -> None:
    """Run `hook` just before Flask-WTF asks for a form's token.

    So the answer to who may not call a view is the same with and without a token.
    What says who asks is to stand further in front. AttributeError if Flask-WTF's
    hook is not there.
    """
    hooks = app.before_request_funcs.setdefault(None, [])
    places = [place for place, one in enumerate(hooks) if getattr(one, "__name__", "") == _TOKEN_CHECK]
    if len(places) != 1:
        raise AttributeError(f"{_TOKEN_CHECK} is not once among the hooks before a request, but {len(places)} times")
    hooks.insert(places[0], hook)
