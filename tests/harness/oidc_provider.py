"""An OpenID Connect provider, by Authlib's server side: `python oidc_provider.py PORT REDIRECT_URI`.

It has one client and one user, who is logged in already, and it asks for PKCE. `POST /fault` has
it make a mistake in each identity token from then on. Run by an interpreter with Flask and Authlib.
"""

from __future__ import annotations

import base64
import hmac
import json
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode, UserInfo
from flask import Flask, Response, jsonify, request
from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT, SECRET = "airflow", "a-secret-of-the-client"
PORT, REDIRECT = int(sys.argv[1]), sys.argv[2]
ISSUER = f"http://127.0.0.1:{PORT}"
KEY, OTHER_KEY = (ECKey.generate_key("P-256", {"kid": "one"}) for _ in range(2))
codes: dict[str, Code] = {}
current = SimpleNamespace(fault="", claims={"email": "eve@a.test", "email_verified": True})
app = Flask(__name__)


class Client(ClientMixin):
    """The one client: a confidential one, with one address to come back to."""

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return REDIRECT

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join({"openid", "email", "profile"} & set(scope.split()))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == REDIRECT

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):
    """A code that was given out, and what was asked for with it."""

    code: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return REDIRECT

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return "another" if current.fault == "nonce" else self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class CodeGrant(grants.AuthorizationCodeGrant):
    """Codes are kept in memory, and work once."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        data = request.payload.data
        methods = data.get("code_challenge", ""), data.get("code_challenge_method", "")
        codes[code] = Code(code, request.scope or request.payload.scope, data.get("nonce", ""), *methods)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return codes.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        codes.pop(authorization_code.code)

    def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
        return {"sub": "eve"}


class IdentityToken(OpenIDCode):
    """What is true, but for the fault that was asked for."""

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return any(code.nonce == nonce for code in codes.values())

    def resolve_client_private_key(self, client: Client) -> Any:
        return OTHER_KEY if current.fault == "signature" else KEY

    def get_client_algorithm(self, client: Client) -> str:
        return "ES256"

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "ES256", "kid": "one"}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": "http://evil.test" if current.fault == "issuer" else ISSUER,
            "aud": ["another-client"] if current.fault == "audience" else [CLIENT],
            "exp": now - 3600 if current.fault == "expired" else now + 300,
            "iat": now - 7200 if current.fault == "expired" else now,
        }

    def generate_user_info(self, user: dict[str, Any], scope: str) -> UserInfo:
        return UserInfo(**user, **current.claims)

    def encode_id_token(self, token: Any, request: Any) -> str:
        """The token; with some faults one that nobody signed, or whoever knows the public key."""
        made: str = super().encode_id_token(token, request)
        if current.fault not in ("unsigned", "public key"):
            return made
        claims = jwt.decode(made, KEY, algorithms=["ES256"]).claims
        if current.fault == "unsigned":
            return jwt.encode({"alg": "none", "kid": "one"}, claims, None, ["none"])
        # By hand, since the library does not take a public key for a secret.
        signed = ".".join([_encoded(b'{"alg":"HS256","kid":"one"}'), _encoded(json.dumps(claims).encode())])
        known = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{_encoded(known)}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


server = AuthorizationServer(app, lambda name: Client() if name == CLIENT else None, lambda *_: None)
server.register_grant(CodeGrant, [IdentityToken(require_nonce=True), CodeChallenge(required=True)])


@app.get("/.well-known/openid-configuration")
def discovery() -> Response:
    keys = {} if current.fault == "no keys" else {"jwks_uri": f"{ISSUER}/keys"}
    return jsonify(
        **keys,
        issuer="http://evil.test" if current.fault == "discovery" else ISSUER,
        authorization_endpoint=f"{ISSUER}/authorize", token_endpoint=f"{ISSUER}/token",
        response_types_supported=["code"], subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["ES256", "HS256", "none"],
        code_challenge_methods_supported=["S256"],
    )  # fmt: skip


@app.get("/keys")
def keys() -> Response:
    return jsonify(keys=[{**KEY.as_dict(private=False), "use": "sig", "alg": "ES256"}])


@app.get("/authorize")
def authorize() -> Response:
    user = {"sub": "eve"}
    assert request.args["code_challenge_method"] == "S256"
    return server.create_authorization_response(
        grant_user=user, grant=server.get_consent_grant(end_user=user)
    )


@app.post("/token")
def token() -> Response:
    answer = server.create_token_response()
    if current.fault != "userinfo instead of id_token":
        return answer
    told = {name: value for name, value in answer.get_json().items() if name != "id_token"}
    return jsonify(**told, userinfo={"sub": "eve", **current.claims})


@app.post("/fault")
def fault() -> str:
    """`name` is the fault; every other value becomes a claim, empty ones none."""
    given = request.form.to_dict()
    current.fault = given.pop("name", "")
    current.claims = {"email": "eve@a.test", "email_verified": True, **given}
    return ""


app.run("127.0.0.1", PORT)
