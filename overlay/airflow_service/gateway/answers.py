"""What somebody gets who is not let in: a page for a browser, JSON for everything else."""

from __future__ import annotations

from flask import Response, jsonify, make_response, render_template, request

_TITLES = {401: "Not logged in", 403: "Not allowed"}
_TEXTS = {
    401: "Airflow has received no valid word of who you are from the gateway in front of it.",
    403: "The gateway knows you, and you may not do this here.",
}


def refusal(status: int, *, given: bool = True, text: str | None = None) -> Response:
    """An answer of 401 or 403 that no cache keeps.

    It gives no reason, which the log does, but for the `text` of one whom the gateway
    has told us. `given` says whether there was an assertion at all (RFC 6750, section 3).
    """
    text = text or _TEXTS[status]
    if wants_page():
        page = render_template("airflow_service/refused.html", status=status, title=_TITLES[status], text=text)
        response = make_response(page)
    else:
        response = jsonify(error=text)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    if status == 401:
        error = ', error="invalid_token"' if given else ""
        response.headers["WWW-Authenticate"] = f'Bearer realm="Airflow"{error}'
    return response


def wants_page() -> bool:
    """Whether a browser asks for something to show; the API, scripts of pages and programs do not."""
    if request.path.startswith("/api/") or request.headers.get("X-Requested-With") == "XMLHttpRequest":
        return False
    # `*/*` is what programs send, and browsers for what is not a page.
    return any(kind == "text/html" for kind, _ in request.accept_mimetypes)
