"""Logging in at an OpenID Connect provider: the authorization code flow with PKCE, by Authlib."""

from __future__ import annotations

import logging
import time
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.oidc.core import UserInfo
from flask import Blueprint, Flask, Response, current_app, render_template, request, session, url_for
from joserfc.errors import JoseError
from requests import RequestException

from airflow_service.reference_gateway.app import gateway
from airflow_service.reference_gateway.pages import enter
from airflow_service.reference_gateway.settings import Provider, WrongGateway

oidc = Blueprint("oidc", __name__, url_prefix="/gateway")
_log = logging.getLogger(__name__)
_WANTED = "wanted"
# Signatures that a provider's public key checks; with the others, whoever has the key could sign.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_SECONDS = 10
_HOUR = 3600


class Refused(Exception):
    """The provider's answer lets nobody in; the message says why, without a secret."""


def add_provider(app: Flask, provider: Provider) -> None:
    """Let the application's users log in there; raises WrongGateway without the client's secret."""
    place = provider.client_secret_file
    try:
        secret = place.read_text("utf-8").strip()
        if place.stat().st_mode & 0o007:
            raise WrongGateway(f"oidc.client_secret_file is open to everybody on this machine: chmod o= {place}")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongGateway(f"oidc.client_secret_file cannot be read: {error}") from error
    app.register_blueprint(oidc, url_prefix=app.extensions["airflow_gateway"].settings.url.prefix or "/")
    oauth = OAuth(app)
    oauth.register(
        "provider",
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_id=provider.client_id,
        client_secret=secret,
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": _SECONDS},
    )


def start() -> Response | tuple[str, int]:
    """Send the browser to the provider."""
    # What earlier ones that came to no end have left.
    for left in [name for name in session if name.startswith("_state_")]:
        del session[left]
    session[_WANTED] = request.args.get("next", "")[:2000]
    settings = gateway().settings
    try:
        answer: Response = _client().authorize_redirect(settings.url.origin + url_for("oidc.callback"))
    except (OAuthError, RequestException, Refused, ValueError) as error:
        return _failed(error)
    return answer


def callback() -> Response | tuple[str, int]:
    """The browser comes back with a code, which is exchanged for an identity token."""
    wanted = session.get(_WANTED, "")
    try:
        user = _user(_claims())
    except (OAuthError, JoseError, RequestException, Refused, RuntimeError, ValueError) as error:
        # RuntimeError is Authlib's where what the provider says of itself lacks something.
        return _failed(error)
    return enter(user, wanted)


def _claims() -> dict[str, Any]:
    """The claims of the identity token; Authlib checks state, nonce, signature and the claims' values."""
    provider = _provider()
    client = _client()
    must = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
        "exp": {"essential": True},
        "sub": {"essential": True},
    }
    token = client.authorize_access_token(claims_options=must, leeway=30)
    # Without an identity token Authlib leaves `userinfo` as the provider sent it: signed by nobody.
    claims = token.get("userinfo") if token.get("id_token") else None
    if not isinstance(claims, UserInfo):
        raise Refused("there is no identity token in the answer")
    return dict(claims)


def _user(claims: dict[str, Any]) -> str:
    """The name of a known user, who has no password here; else Refused."""
    claim = _provider().claim
    name = claims.get(claim)
    if not isinstance(name, str) or not name:
        raise Refused(f"the identity token has no {claim}")
    if claim == "email" and claims.get("email_verified") is not True:
        raise Refused("the provider has not verified the email address")
    if not gateway().store.is_external(name):
        raise Refused(f"nobody has added {name!r} here")
    return name


def _client() -> Any:
    """The client, with the provider's own word on itself checked."""
    client = current_app.extensions["authlib.integrations.flask_client"].provider
    if time.time() - client.server_metadata.get("_loaded_at", 0) > _HOUR:
        client.server_metadata.pop("_loaded_at", None)
    metadata = client.load_server_metadata()
    if metadata.get("issuer") != _provider().issuer:
        named = metadata.get("issuer")
        metadata.clear()  # asked again for the next login
        raise Refused(f"the provider calls itself {named!r}")
    if not metadata.get("jwks_uri"):
        metadata.clear()
        raise Refused("the provider has no jwks_uri: nothing says which keys are its own")
    offered = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
    metadata["id_token_signing_alg_values_supported"] = [name for name in offered if name in _ALGORITHMS]
    # The keys are asked for anew for each login, so that a rotation shows.
    metadata.pop("jwks", None)
    return client


def _provider() -> Provider:
    provider = gateway().settings.provider
    assert provider is not None  # else there were no such route
    return provider


def _failed(error: Exception) -> tuple[str, int]:
    _log.warning("login from %s at the provider: %s: %s", request.remote_addr, type(error).__name__, error)
    when = time.strftime("%H:%M:%S UTC", time.gmtime())
    return render_template("failed.html", when=when), 403


oidc.add_url_rule("/oidc", endpoint="start", view_func=start)
oidc.add_url_rule("/oidc/callback", endpoint="callback", view_func=callback)
