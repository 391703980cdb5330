"""Each request to the webserver carries an assertion that holds, or goes no further.

The hook runs before all others and before any view, so that views without a decorator,
those of plugins, and addresses that lead nowhere are behind it too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address

from flask import Flask, Response, request, session

from airflow_service.gateway.answers import refusal
from airflow_service.gateway.assertion import Refused, Verified, Verifier
from airflow_service.gateway.identity import Identity, current_identity, set_current_identity
from airflow_service.gateway.keys import Keys
from airflow_service.gateway.settings import GatewaySettings, read_gateway
from airflow_service.masking import shown

log = logging.getLogger(__name__)

REMEMBERED = 1024
"""Assertions whose verification is not repeated until they expire."""
# Files of the wheel, which anybody can read in the wheel, and which the page for those who are
# not let in needs. The same files have no check below /a/ either, nor on a CDN. A plugin's own
# static files are not among them.
_PUBLIC_FILES = frozenset({"static", "admin.static", "airflow_service.static"})
_HEALTH = "routes.health"
_SESSION_OF = "gateway_identity"


class VerifiedAssertions:
    """Bounded memory of what was verified; nothing in it outlives its `exp` or its key."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._found: dict[str, tuple[int, Verified]] = {}

    def get(self, assertion: str, generation: int) -> Identity | None:
        """Who an assertion is for, if that is known by keys of this generation."""
        kept = self._found.get(assertion)
        if kept is None or kept[0] != generation or time.time() >= kept[1].expires:
            return None
        return kept[1].identity

    def put(self, assertion: str, generation: int, verified: Verified) -> None:
        """Remember one, in place of the one that was remembered first if there are too many."""
        with self._lock:
            self._found.pop(assertion, None)
            while len(self._found) >= self._size:
                del self._found[next(iter(self._found))]
            self._found[assertion] = (generation, verified)

    def __len__(self) -> int:
        return len(self._found)


class Gate:
    """Decides who a request comes from."""

    def __init__(self, settings: GatewaySettings, keys: Keys) -> None:
        self.settings = settings
        self.keys = keys
        self._verifier = Verifier(settings, keys)
        self._verified = VerifiedAssertions()

    def identify(self, given: str | None) -> Identity:
        """The identity in the header's value as it came; None where there is no header. Raises Refused."""
        assertion = self._assertion(given)
        generation = self.keys.generation
        identity = self._verified.get(assertion, generation)
        if identity is None:
            verified = self._verifier.verify(assertion)
            identity = verified.identity
            self._verified.put(assertion, generation, verified)
        return identity

    def _assertion(self, given: str | None) -> str:
        header = self.settings.header
        if given is None:
            raise Refused("header", f"there is no {header}")
        if "," in given:
            # How a server hands on a header that came twice.
            raise Refused("header", f"{header} was given more than once")
        if header.lower() == "authorization":
            scheme, _, given = given.partition(" ")
            if scheme.lower() != "bearer":
                raise Refused("header", f"{header} is not of the scheme Bearer")
        if not given:
            raise Refused("header", f"{header} is empty")
        return given


def require_assertions(app: Flask) -> None:
    """Guard an application, if the gateway is configured. Call it before anything else is hooked in.

    Raises WrongSettings.
    """
    settings = read_gateway()
    if settings is None:
        return
    from airflow_service.gateway.users import ensure_user

    gate = Gate(settings, Keys(settings.keys))
    gate.keys.begin()
    app.before_request(_admission(gate, ensure_user))
    app.after_request(_name_session)


def _admission(gate: Gate, ensure_user: Callable[[Identity], int]) -> Callable[[], Response | None]:
    variable = f"HTTP_{gate.settings.header.upper().replace('-', '_')}"

    def admit() -> Response | None:
        set_current_identity(None)
        if _needs_no_assertion():
            return None
        given = request.environ.get(variable)
        try:
            identity = gate.identify(given)
            ensure_user(identity)
        except Refused as refused:
            log.warning(
                "Refused %s %s from %s: %s", shown(request.method, 20), shown(request.path),
                request.remote_addr, refused,
            )  # fmt: skip
            return refusal(refused.status, given=given is not None)
        _keep_own_session(identity)
        set_current_identity(identity)
        return None

    return admit


def _needs_no_assertion() -> bool:
    if request.endpoint in _PUBLIC_FILES:
        return request.method in ("GET", "HEAD")
    return request.endpoint == _HEALTH and request.method in ("GET", "HEAD") and _is_of_this_machine()


def _is_of_this_machine() -> bool:
    """Whether a supervisor on this machine asks, and not somebody through a proxy on it."""
    if any(name.startswith(("HTTP_X_FORWARDED", "HTTP_FORWARDED")) for name in request.environ):
        return False
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _keep_own_session(identity: Identity) -> None:
    """Drop what a session holds of somebody else, or of the same one in another role."""
    if session and session.get(_SESSION_OF) != _mark(identity):
        session.clear()


def _name_session(response: Response) -> Response:
    identity = current_identity()
    if identity is not None and session.modified and session:
        session[_SESSION_OF] = _mark(identity)
    return response


def _mark(identity: Identity) -> str:
    return f"{identity.role}:{identity.subject}"
