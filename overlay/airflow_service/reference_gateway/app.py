"""The reference gateway's application: what nginx asks, its keys, and its pages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from flask_wtf.csrf import CSRFProtect

from airflow_service.gateway.names import COOKIE, HEADER, SECURE_COOKIE
from airflow_service.reference_gateway.keys import Signer
from airflow_service.reference_gateway.passwords import Passwords
from airflow_service.reference_gateway.settings import Settings
from airflow_service.reference_gateway.store import ROLES, Lifetime, Store

_log = logging.getLogger(__name__)
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the views work with."""

    settings: Settings
    store: Store
    signer: Signer
    passwords: Passwords

    @property
    def cookie(self) -> str:
        """The session's cookie. It goes to every path of the host, since nginx asks for each cluster's.

        Over TLS its name has browsers take it from this host alone.
        """
        return SECURE_COOKIE if self.settings.url.scheme == "https" else COOKIE

    @property
    def life(self) -> Lifetime:
        return Lifetime(self.settings.session_hours * 3600, self.settings.idle_minutes * 60)

    def user(self) -> str | None:
        """Who asks, by the session; None for nobody."""
        token = request.cookies.get(self.cookie)
        return self.store.session_user(token, time.time(), self.life) if token else None


def gateway() -> Gateway:
    """The gateway of the current application."""
    found: Gateway = current_app.extensions["airflow_gateway"]
    return found


def make_app(settings: Settings) -> Flask:
    """The application; raises WrongGateway if the state cannot be used."""
    store = Store.open(settings.state)
    signer = Signer(store, settings.issuer, settings.assertion_seconds, settings.key_days)
    app = Flask(__name__, static_folder=None)
    app.extensions["airflow_gateway"] = Gateway(settings, store, signer, Passwords(store))
    app.config.update(
        SECRET_KEY=store.secret("forms"),
        # What a form and a log-in that is under way need; no session.
        SESSION_COOKIE_NAME=f"{COOKIE}_form",
        SESSION_COOKIE_PATH=f"{settings.url.prefix}/",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.url.scheme == "https",
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    CSRFProtect(app)
    app.add_url_rule("/auth", view_func=_auth)
    app.add_url_rule("/.well-known/jwks.json", view_func=_keys)
    from airflow_service.reference_gateway.pages import pages

    app.register_blueprint(pages, url_prefix=settings.url.prefix or "/")
    if settings.provider is not None:
        from airflow_service.reference_gateway.oidc import add_provider

        add_provider(app, settings.provider)
    app.after_request(_with_headers)
    application: Any = app.wsgi_app
    app.wsgi_app = _behind_nginx(application, settings)
    return app


def _auth() -> Response:
    """What nginx asks before each request: 204 with an assertion, 401 or 403.

    The query is nginx's own, never the client's: `cluster`, and `least`, the least
    role that is wanted (any if it is missing).
    """
    own = gateway()
    user = own.user()
    if user is None:
        return Response(status=401)
    cluster = own.settings.cluster(request.args.get("cluster", ""))
    least = request.args.get("least", ROLES[0])
    if cluster is None or least not in ROLES:
        _log.error("asked for a cluster or a role that does not exist: %s", request.query_string)
        return Response(status=403)
    role = own.store.roles(user).get(cluster.id)
    if role is None or ROLES.index(role) < ROLES.index(least):
        return Response(status=403)
    assertion = own.signer.assertion(user, cluster.id, role, time.time())
    return Response(status=204, headers={HEADER: assertion})


def _keys() -> Response:
    """The public keys, for the webservers."""
    response: Response = jsonify(gateway().signer.key_set(time.time()))
    return response


def _with_headers(response: Response) -> Response:
    url = gateway().settings.url
    targets = " ".join(sorted({cluster.url.origin for cluster in gateway().settings.clusters} - {url.origin}))
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Content-Security-Policy"] = (
        # A form's answer may lead to a cluster on another host.
        f"default-src 'none'; style-src 'self'; img-src data:; form-action 'self'{targets and ' '}{targets};"
        " frame-ancestors 'none'; base-uri 'none'"
    )
    return response


def _behind_nginx(application: WSGI, settings: Settings) -> WSGI:
    """Scheme and host are those of the configuration; the client is whom nginx names."""

    def application_behind(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        client = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        environ["REMOTE_ADDR"] = client or environ.get("REMOTE_ADDR", "")
        environ["wsgi.url_scheme"], environ["HTTP_HOST"] = settings.url.scheme, settings.url.host
        return application(environ, start_response)

    return application_behind
