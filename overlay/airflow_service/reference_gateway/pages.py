"""The pages: log in, the clusters that one may enter, log out."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask_wtf.csrf import CSRFError

from airflow_service.redirects import safe_path
from airflow_service.reference_gateway.app import gateway
from airflow_service.reference_gateway.passwords import Busy
from airflow_service.reference_gateway.store import WINDOW

pages = Blueprint("pages", __name__, url_prefix="/gateway", template_folder="templates")
_log = logging.getLogger(__name__)
# nginx writes the wanted address as the last value, and cannot escape what is in it.
_NEXT = re.compile(r"(?:^|&)next=(.*)$", re.DOTALL)
_STYLE = Path(__file__).with_name("style.css").read_text("utf-8")


def clusters() -> Response | str:
    """What the user may enter, and in which role."""
    own = gateway()
    user = own.user()
    if user is None:
        return redirect(url_for("pages.login"))
    roles = own.store.roles(user)
    entered = [(cluster, roles[cluster.id]) for cluster in own.settings.clusters if cluster.id in roles]
    page: str = render_template("clusters.html", user=user, clusters=entered)
    return page


def login() -> Response | str:
    """The form; for whoever is logged in, the way on."""
    found = _NEXT.search(request.query_string.decode("latin-1"))
    wanted = found[1] if found else ""
    return redirect(target(wanted)) if gateway().user() is not None else _form(wanted)


def check_login() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Try a user's name and password."""
    own = gateway()
    user, wanted = request.form.get("user", "").strip()[:128], request.form.get("next", "")
    address = request.remote_addr or ""
    try:
        with own.passwords.turn():
            if not own.store.try_login(user, address, time.time()):
                _log.warning("login of %r from %s: too many tries", user, address)
                wait = {"Retry-After": str(WINDOW)}
                return _form(wanted, "Too many tries. Wait a quarter of an hour."), 429, wait
            fits = own.passwords.fit(user, request.form.get("password", ""))
    except Busy:
        _log.warning("login of %r from %s: too many at once", user, address)
        return _form(wanted, "Too many are logging in just now. Try again."), 429, {"Retry-After": "2"}
    if not fits:
        _log.warning("login of %r from %s: refused", user, address)
        return _form(wanted, "User name or password is wrong."), 403
    own.store.forgive(user, address)
    return enter(user, wanted)


def ask_logout() -> Response | str:
    """Where a cluster's own button leads: a link alone, which any page could hold, ends nothing."""
    user = gateway().user()
    if user is None:
        return redirect(url_for("pages.login"))
    page: str = render_template("logout.html", user=user)
    return page


def logout() -> Response:
    """End the session, here and wherever its cookie was copied to."""
    own = gateway()
    token = request.cookies.get(own.cookie)
    if token:
        _log.info("logout of %r", own.user())
        own.store.end_session(token)
    session.clear()
    response: Response = redirect(url_for("pages.login"), 303)
    response.delete_cookie(own.cookie, path="/", secure=own.cookie.startswith("__Host-"), httponly=True)
    return response


def style() -> Response:
    """The style sheet of all pages."""
    return Response(_STYLE, mimetype="text/css", headers={"Cache-Control": "max-age=3600"})


def refused(error: CSRFError) -> tuple[str, int]:
    """A form of another site, or one that lay open for too long."""
    _log.warning("a form from %s: refused, %s", request.remote_addr, error.description)
    return _form("", "The form was too old, or not ours. Try again."), 400


def enter(user: str, wanted: str) -> Response:
    """Begin a session, and lead on."""
    own = gateway()
    # A session that a stranger may have planted in this browser is not gone on with.
    planted = request.cookies.get(own.cookie)
    if planted:
        own.store.end_session(planted)
    session.clear()
    _log.info("login of %r from %s", user, request.remote_addr)
    response: Response = redirect(target(wanted), 303)
    response.set_cookie(
        own.cookie, own.store.begin_session(user, time.time(), own.life), path="/",
        httponly=True, samesite="Lax", secure=own.settings.url.scheme == "https",
    )  # fmt: skip
    return response


def target(wanted: str) -> str:
    """Where to after the login: a page of a cluster that was asked for, else the list of clusters."""
    own = gateway().settings
    for cluster in own.clusters:
        path = safe_path(wanted, cluster.url)
        if path is not None and not path.startswith(f"{own.url.prefix}/login"):
            return path if cluster.url.origin == own.url.origin else f"{cluster.url.origin}{path}"
    clusters_page: str = url_for("pages.clusters")
    return clusters_page


def _form(wanted: str, problem: str = "") -> str:
    provider = gateway().settings.provider
    page: str = render_template(
        "login.html", wanted=wanted, problem=problem, provider=provider.name if provider else None
    )
    return page


pages.add_url_rule("/", endpoint="clusters", view_func=clusters)
pages.add_url_rule("/login", endpoint="login", view_func=login)
pages.add_url_rule("/login", endpoint="check_login", view_func=check_login, methods=["POST"])
pages.add_url_rule("/logout", endpoint="ask_logout", view_func=ask_logout)
pages.add_url_rule("/logout", endpoint="logout", view_func=logout, methods=["POST"])
pages.add_url_rule("/style.css", endpoint="style", view_func=style)
pages.register_error_handler(CSRFError, refused)
