"""The plain pages of errors that no view has a page for, which Werkzeug writes."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

_AFTER = "</title>\n"


def with_icon(error: HTTPException) -> Any:
    """The error's page, with a link to the icon: without, browsers ask for one outside of the prefix."""
    response: Any = error.get_response(request.environ)
    if response.mimetype == "text/html":
        icon = Markup('<link rel="icon" type="image/png" href="{}">\n').format(
            url_for("static", filename="pin_32.png")
        )
        text = response.get_data(as_text=True)
        response.set_data(text.replace(_AFTER, _AFTER + icon, 1))
    return response
