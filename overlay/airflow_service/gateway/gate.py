"""Each request to the webserver carries an assertion that holds, or goes no further.

The hook runs before all others and before any view, so that views without a decorator,
those of plugins, and addresses that lead nowhere are behind it too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from flask import Flask, Response, request, session
from flask.sessions import SecureCookieSessionInterface

from airflow_service.gateway.answers import refusal
from airflow_service.gateway.assertion import Refused
from airflow_service.gateway.identify import Identifier
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.keys import Keys
from airflow_service.gateway.listening import check_own_sockets
from airflow_service.gateway.request_identity import current_identity, set_current_identity
from airflow_service.gateway.settings import check_key_file, read_gateway
from airflow_service.masking import shown
from airflow_service.prefix import THROUGH_PROXY

log = logging.getLogger(__name__)

# Files of the wheel, which anybody can read in the wheel, and which the page for those who are
# not let in needs. The same files have no check below /a/ either, nor on a CDN. A plugin's own
# static files are not among them.
_PUBLIC_FILES = frozenset({"static", "admin.static", "airflow_service.static"})
_HEALTH = "routes.health"
_WITHOUT_ASSERTION = _PUBLIC_FILES | {_HEALTH}
_READS = frozenset({"GET", "HEAD"})
_SESSION_OF = "gateway_identity"


def require_assertions(app: Flask) -> None:
    """Guard an application, if the gateway is configured. Call it before anything else is hooked in.

    Raises WrongSettings, also where this process listens, or keeps its keys, for everybody.
    """
    settings = read_gateway()
    if settings is None:
        return
    check_key_file()
    check_own_sockets()
    from airflow_service.gateway.users import ensure_user

    identifier = Identifier(settings, Keys(settings.keys))
    identifier.keys.begin()
    app.before_request(_admission(identifier, ensure_user))
    app.after_request(_tell_nobody)
    app.session_interface = _NamedSessions()


def _admission(
    identifier: Identifier, ensure_user: Callable[[Identity], int]
) -> Callable[[], Response | None]:
    variable = f"HTTP_{identifier.settings.header.upper().replace('-', '_')}"

    def admit() -> Response | None:
        set_current_identity(None)
        # Once: each use of Flask's proxy looks for the request anew.
        environ, endpoint, method = request.environ, request.endpoint, request.method
        if endpoint in _WITHOUT_ASSERTION and method in _READS and (endpoint != _HEALTH or _is_of_this_machine()):
            return None
        given = environ.get(variable)
        try:
            identity = _identify(identifier, given)
            ensure_user(identity)
        except Refused as refused:
            log.warning(
                "Refused %s %s from %s: %s", shown(method, 20), shown(request.path), request.remote_addr, refused
            )
            return refusal(refused.status, given=given is not None)
        # Where there is no cookie, nothing says that the answer depends on one.
        if "HTTP_COOKIE" in environ:
            _keep_own_session(identity)
        set_current_identity(identity)
        return None

    return admit


def _identify(identifier: Identifier, given: str | None) -> Identity:
    """As the identifier's, which an assertion may have met with what nobody thought of. Raises Refused."""
    try:
        return identifier.identify(given)
    except Refused:
        raise
    except Exception as error:
        # Not the exception's text, which may quote the assertion.
        raise Refused("form", f"the check itself failed ({type(error).__name__})") from None


def _tell_nobody(response: Response) -> Response:
    """A file that is not there is told without the release's page for it, which names the host."""
    if response.status_code >= 400 and request.endpoint in _PUBLIC_FILES and current_identity() is None:
        return Response(HTTPStatus(response.status_code).phrase + "\n", response.status_code, mimetype="text/plain")
    return response


def _is_of_this_machine() -> bool:
    """Whether a supervisor on this machine asks, and not somebody through a proxy on it."""
    if request.environ.get(THROUGH_PROXY, True):
        return False
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _keep_own_session(identity: Identity) -> None:
    """Drop what a session holds of somebody else, or of the same one in another role."""
    if session and session.get(_SESSION_OF) != _mark(identity):
        session.clear()


class _NamedSessions(SecureCookieSessionInterface):  # type: ignore[misc]  # the checks run without Flask
    """Flask's, which notes in each session that it keeps whose it is."""

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        if session.modified and session and (identity := current_identity()) is not None:
            session[_SESSION_OF] = _mark(identity)
        super().save_session(app, session, response)


def _mark(identity: Identity) -> str:
    return f"{identity.role}:{identity.subject}"
