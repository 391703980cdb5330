"""Logging in at an OpenID Connect provider: the real flow, and what of it lets nobody in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import harness
import pytest
import requests
from harness.gateway import ReferenceGateway, Visitor
from harness.processes import Running, free_port, listens, running, wait_for

pytestmark = [pytest.mark.slow]

PROVIDER = Path(harness.__file__).with_name("oidc_provider.py")
_OIDC = """
[oidc]
name = "Test SSO"
issuer = "http://127.0.0.1:{port}"
client_id = "airflow"
client_secret_file = "{secret}"
"""


@dataclass
class Login:
    """A gateway, and the provider that it sends users to."""

    gateway: ReferenceGateway
    provider: str
    process: Running

    def fault(self, name: str = "", **claims: str) -> None:
        requests.post(f"{self.provider}/fault", {"name": name, **claims}, timeout=10).raise_for_status()

    def visitor(self) -> Visitor:
        return Visitor(f"http://{self.gateway.address}", "/gateway")

    def begin(self, visitor: Visitor, wanted: str = "") -> str:
        """Go to the provider, and come back with a code: the callback's address."""
        asked = visitor.get(f"/gateway/oidc?next={wanted}")
        assert asked.status_code == 302, asked.text
        return requests.get(asked.headers["Location"], allow_redirects=False, timeout=10).headers["Location"]

    def finish(self, visitor: Visitor, callback: str) -> requests.Response:
        parts = urlsplit(callback)
        assert parts.path == "/gateway/oidc/callback"
        return visitor.get(f"{parts.path}?{parts.query}")

    def why(self) -> str:
        assert self.gateway.process is not None
        return self.gateway.process.output.splitlines()[-1]


@pytest.fixture(scope="module")
def login(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    folder, port = tmp_path_factory.mktemp("oidc"), free_port()
    secret = folder / "secret"
    secret.write_text("a-secret-of-the-client\n")
    secret.chmod(0o600)
    url, more = "http://a.test/gateway", _OIDC.format(port=port, secret=secret)
    gateway = ReferenceGateway(installed, folder, url, {"eu-1": "http://a.test/airflow-1"}, more)
    provider = [installed, PROVIDER, str(port), f"{url}/oidc/callback"]
    with running(provider, folder / "provider.log") as process, gateway.serving():
        wait_for("the provider", lambda: listens(port), 30, process)
        gateway.command(
            "add-user", "--user", "eve@a.test", "--external", "--cluster", "eu-1", "--role", "user"
        )
        yield Login(gateway, f"http://127.0.0.1:{port}", process)


def test_a_provider_of_another_name(login: Login) -> None:
    """What it says of itself has to be what is configured; when it is, it is asked again.

    One that does not say where its keys are lets nobody in.
    """
    login.fault("discovery")
    assert login.visitor().get("/gateway/oidc").status_code == 403
    assert "calls itself 'http://evil.test'" in login.why()
    login.fault("no keys")
    assert login.visitor().get("/gateway/oidc").status_code == 403
    assert "has no jwks_uri" in login.why()
    login.fault()
    assert login.visitor().get("/gateway/oidc").status_code == 302


def test_a_login(login: Login) -> None:
    """With PKCE, state and nonce; it leads to the page that was asked for, as the user of the claim."""
    login.fault()
    visitor = login.visitor()
    assert "Log in with Test SSO" in visitor.get("/gateway/login").text
    begun = visitor.get("/gateway/oidc?next=%2Fairflow-1%2Fadmin%2F%3Fa%3Db")
    asked = parse_qs(urlsplit(begun.headers["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    answer = requests.get(begun.headers["Location"], allow_redirects=False, timeout=10)
    done = login.finish(visitor, answer.headers["Location"])
    assert (done.status_code, done.headers["Location"]) == (303, "/airflow-1/admin/?a=b")
    assert "Clusters of eve@a.test" in visitor.get("/gateway/").text
    assert visitor.get("/auth?cluster=eu-1").status_code == 204
    # The same answer of the provider opens nothing a second time.
    assert login.finish(visitor, answer.headers["Location"]).status_code == 403
    # No password opens what is the provider's.
    assert login.visitor().login("eve@a.test", "").status_code == 403


@pytest.mark.parametrize(
    ("fault", "claims", "reason"),
    [
        ("signature", {}, "BadSignatureError"),
        ("unsigned", {}, "none"),
        ("public key", {}, "HS256"),
        ("nonce", {}, "nonce"),
        ("issuer", {}, "iss"),
        ("audience", {}, "aud"),
        ("expired", {}, "expired"),
        ("userinfo instead of id_token", {}, "no identity token"),
        ("", {"email_verified": ""}, "has not verified"),
        ("", {"email": ""}, "has no email"),
        ("", {"email": "mallory@a.test"}, "nobody has added"),
        ("", {"email": "admin"}, "nobody has added"),
    ],
)
def test_tokens_that_let_nobody_in(login: Login, fault: str, claims: dict[str, str], reason: str) -> None:
    """403 with a page that says nothing; the log says why."""
    login.fault()
    visitor = login.visitor()
    callback = login.begin(visitor)
    login.fault(fault, **claims)
    answer = login.finish(visitor, callback)
    assert answer.status_code == 403, login.why()
    assert "airflow_gateway=" not in answer.headers.get("Set-Cookie", "")
    assert reason in login.why()
    assert "eve@a.test" not in answer.text
    assert visitor.get("/auth?cluster=eu-1").status_code == 401


def test_answers_that_were_not_asked_for(login: Login) -> None:
    """Without the state, with another's, with a made up code, with an error."""
    login.fault()
    visitor, mallory = login.visitor(), login.visitor()
    query = parse_qs(urlsplit(login.begin(visitor)).query)
    code, state = query["code"][0], query["state"][0]
    other = parse_qs(urlsplit(login.begin(mallory)).query)
    for wrong in (
        {"code": code}, {"code": code, "state": "x"}, {"code": code, "state": other["state"][0]},
        {"state": state, "error": "access_denied", "error_description": "<script>"}, {},
    ):  # fmt: skip
        answer = visitor.get(f"/gateway/oidc/callback?{urlencode(wrong)}")
        assert answer.status_code == 403
        assert "<script>" not in answer.text
    # PKCE: a code that was stolen on its way is of no use to who did not ask for it.
    stolen = mallory.get(f"/gateway/oidc/callback?{urlencode({'code': code, 'state': other['state'][0]})}")
    assert stolen.status_code == 403
    assert mallory.get("/auth?cluster=eu-1").status_code == 401


def test_a_provider_that_is_gone(login: Login) -> None:
    """A page that says so, and passwords go on."""
    login.process.stop()
    assert login.visitor().get("/gateway/oidc").status_code in (302, 403)
    assert login.visitor().get("/gateway/login").status_code == 200
