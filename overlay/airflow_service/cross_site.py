"""Requests that another site's page has its visitor's browser send.

The browser adds the visitor's cookies, the gateway an assertion, and so they look
like the visitor's own. Forms are held to a token; the experimental API, and what
a plugin exempts from tokens, are not. So whatever changes something is refused
when the browser says that another site's page sent it. Browsers of today say so
in Sec-Fetch-Site, which no page can write (w3.org/TR/fetch-metadata), wherever
the page came by https or from the machine itself; else by Origin. A program that
is no browser sends neither, and carries no visitor's cookies.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, current_app, request

from airflow_service.gateway.answers import refusal
from airflow_service.gateway.route_table import SAFE
from airflow_service.masking import shown
from airflow_service.prefix import CLIENT_HOST, base_url_of
from airflow_service.request_hooks import run_before_tokens

# "none": typed, or from a bookmark.
_OWN = frozenset({"same-origin", "none"})

log = logging.getLogger(__name__)


def refuse_other_sites(app: Flask) -> None:
    """Have `app` refuse what changes something and comes from another site's page."""
    run_before_tokens(app, judge)


def judge() -> Response | None:
    """The answer to a request from another site; None if it is none, or changes nothing."""
    if request.method in SAFE or _is_own():
        return None
    log.warning("Refused %s %s: sent by a page of another site", shown(request.method, 20), shown(request.path))
    return refusal(403, text="This was sent by a page of another site than this one, and changes nothing here.")


def _is_own() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OWN
    origin = request.headers.get("Origin")
    if origin is None or origin == base_url_of(current_app).origin:
        return True
    # The client's own name for this host, such as localhost at the end of a tunnel.
    host: str = request.environ.get(CLIENT_HOST, "")
    return bool(host) and origin in (f"http://{host}", f"https://{host}")
