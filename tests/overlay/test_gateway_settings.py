"""Tests of airflow_service.gateway.settings, .options and .roles; the guide's examples, with tokens of their form."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_service import start
from airflow_service.errors import WrongSettings
from airflow_service.gateway.assertion import Refused
from airflow_service.gateway.identify import Identifier
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.keys import Keys
from airflow_service.gateway.listening import check_listening
from airflow_service.gateway.options import KeySource, algorithms, header_name
from airflow_service.gateway.roles import Role, RoleMap
from airflow_service.gateway.settings import BACKEND, GatewaySettings, read_gateway
from airflow_service.sources import Configuration
from harness.assertions import Gateway, base64url
from harness.key_server import KeyServer, keys_of, serving_keys
from jwt.algorithms import ECAlgorithm

GUIDE = Path(__file__).parents[2] / "docs" / "gateway.md"
ON = f"[webserver]\nauthenticate = True\nauth_backend = {BACKEND}\n[api]\nauth_backend = {BACKEND}\n"
COMPLETE = "gateway_keys = /etc/keys.json\ngateway_issuer = https://gateway\ncluster_id = eu-1\n"


def _read(home: Path, cfg: str, **environment: str) -> GatewaySettings | None:
    (home / "airflow.cfg").write_text(cfg, encoding="utf-8")
    return read_gateway(Configuration.read({"AIRFLOW_HOME": str(home), **environment}))


def _faults(home: Path, cfg: str, **environment: str) -> set[tuple[str, str]]:
    with pytest.raises(WrongSettings) as caught:
        _read(home, cfg, **environment)
    return {(fault.section, fault.key) for fault in caught.value.faults}


def test_off_and_on(tmp_path: Path) -> None:
    """Nothing set, or another way in: none. All set: who the assertion is for is the cluster."""
    assert _read(tmp_path, "") is None
    assert _read(tmp_path, "[webserver]\nauthenticate = True\nauth_backend = airflow.contrib.auth.backends.x\n") is None
    told = _read(tmp_path, f"{ON}[service]\n{COMPLETE}")
    assert told is not None
    assert (told.audience, told.signer, told.header) == ("eu-1", None, "X-Airflow-Assertion")
    assert told.algorithms == {"ES256", "RS256", "EdDSA"}


@pytest.mark.parametrize(
    ("cfg", "faults"),
    [
        (ON, {("service", "gateway_keys"), ("service", "gateway_issuer"), ("service", "gateway_audience")}),
        (f"{ON}[service]\ngateway_keys = /k\ncluster_id = a\n", {("service", "gateway_issuer")}),
        (f"{ON}[service]\ngateway_keys = /k\ngateway_issuer = a\n", {("service", "gateway_audience")}),
        (f"{ON.replace('True', 'False')}[service]\n{COMPLETE}", {("webserver", "authenticate")}),
        (f"[service]\n{COMPLETE}", {("webserver", "auth_backend")}),
        (f"[webserver]\nauthenticate = True\nauth_backend = x\n[service]\n{COMPLETE}", {("webserver", "auth_backend")}),
        (f"[api]\nauth_backend = {BACKEND}\n", {("api", "auth_backend")}),
        (
            f"{ON}[service]\n{COMPLETE.replace('/etc/keys.json', 'https://k/')}gateway_algorithms = HS256\n",
            {("service", "gateway_algorithms")},
        ),
    ],
)
def test_half_a_gateway_is_none(tmp_path: Path, cfg: str, faults: set[tuple[str, str]]) -> None:
    """Whoever names its keys believes that it guards the webserver."""
    assert _faults(tmp_path, cfg) == faults


def test_a_command_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Exit code 78; a fault that both checks find is told once."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    (tmp_path / "airflow.cfg").write_text(f"{ON}[service]\n{COMPLETE}gateway_header = a_b\n")
    with pytest.raises(SystemExit) as ended:
        start.stop_on_wrong_settings("scheduler")
    assert ended.value.code == 78
    assert capsys.readouterr().err.count("gateway_header = 'a_b'") == 1
    (tmp_path / "airflow.cfg").write_text(ON)
    with pytest.raises(SystemExit):
        start.stop_on_wrong_settings("webserver")
    assert "3 mistakes" in capsys.readouterr().err


@pytest.mark.parametrize("text", [
    "keys.json", "./keys.json", "http://gateway.example/keys", "ftp://gateway/keys", "https://a:b@gateway/keys",
    "https://gateway/<kid>/<kid>", "https://<kid>.gateway/", "https://gateway/?kid=<kid>", "https://gateway/a b",
])  # fmt: skip
def test_sources_of_keys_that_cannot_be_believed(text: str) -> None:
    """Not by a path that depends on who starts it, nor over a network without TLS."""
    with pytest.raises(ValueError, match=r"it |<kid>"):
        KeySource.parse(text)


def test_sources_of_keys() -> None:
    """A path, a URL, and a URL for each."""
    for text in ("/etc/keys.json", "https://gateway/keys", "http://127.0.0.1:8000/keys", "https://gateway/<kid>", ""):
        assert str(KeySource.parse(text)) == text


@pytest.mark.parametrize("text", ["", "X_Airflow", "X Airflow", "X:", "-x", "Cookie", "host", "x" * 65, "é", "1x"])
def test_headers_that_carry_no_assertion(text: str) -> None:
    """Names that a server joins with another's, or that have a meaning of their own."""
    with pytest.raises(ValueError, match=r"it is|that header"):
        header_name(text)


def test_algorithms() -> None:
    """Those that are known, by their own names."""
    assert algorithms("ES256 RS256,HS256") == "ES256, RS256, HS256"
    for bad in ("", "none", "es256", "RS512", "ES256, none"):
        with pytest.raises(ValueError, match=r"it names none|is none of"):
            algorithms(bad)


@pytest.mark.parametrize("text", [
    "admin", "[]", "{}", "1", "null", "{", '{"a": "root"}', '{"a": "Admin"}', '{"a": null}', '{"a": ["admin"]}',
    '{"a": "admin", "a": "user"}', '[["a", "admin"]]', '{"a": {"b": "admin"}}',
])  # fmt: skip
def test_role_maps_that_are_none(text: str) -> None:
    """JSON, from texts to roles as they are spelt here, none named twice."""
    with pytest.raises(ValueError, match=r"^it |^what "):
        RoleMap.parse(text)


@pytest.mark.parametrize(("claim", "role"), [
    ("ops", "admin"), (["dev"], "user"), (["dev", "ops"], "admin"), (["ops", "dev"], "admin"), (["read"], "viewer"),
    (["read", "dev", "none"], "user"), (["x"] * 1000 + ["read"], "viewer"),
    ("Ops", None), ("admin", None), (["none"], None), ([], None), ("", None), ([""], None), (["ops", 1], None),
    ([["ops"]], None), ({"ops": 1}, None), (None, None), (True, None), ("ops,dev", None), ("*", None),
])  # fmt: skip
def test_groups_stand_for_roles(claim: Any, role: str | None) -> None:
    """The highest of several; what is not named is nothing, or what `*` says; what is no text is never anything."""
    named = '{"ops": "admin", "dev": "user", "read": "viewer"}'
    others = RoleMap.parse(named[:-1] + ', "*": "viewer"}')
    assert RoleMap.parse(str(others)) == others
    texts = isinstance(claim, (str, list)) and claim and all(isinstance(one, str) and one for one in claim)
    for roles, wanted in ((RoleMap.parse(named), role), (others, role or ("viewer" if texts else None))):
        if wanted is None:
            with pytest.raises(ValueError, match=r"it is neither|names none"):
                roles.role_of(claim)
        else:
            assert roles.role_of(claim) is Role(wanted)


EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n[^#]*?```ini\n(.*?)```", GUIDE.read_text(), re.DOTALL | re.MULTILINE))
GATEWAY = Gateway(("ES256", "RS256"))


def _padded(token: str) -> str:
    """As AWS writes base64: with its padding, also under the signature."""
    header, payload, _ = token.split(".")
    signed = ".".join(part + "=" * (-len(part) % 4) for part in (header, payload))
    raw = ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), GATEWAY.keys["ES256"])
    return f"{signed}.{base64url(raw)}=="


def _of_load_balancer(**header: Any) -> str:
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/airflow/0123456789abcdef"
    issuer = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example"
    expires = int(time.time()) + 120
    told = {"typ": "JWT", "alg": "ES256", "kid": "11111111-2222-3333-4444-555555555555", "signer": arn, "iss": issuer,
            "client": "abc", "exp": expires, **header}  # fmt: skip
    claims = {"sub": "1-2-3", "email": "ann@example.com", "username": "1-2-3", "custom:role": "airflow-admin",
              "exp": expires, "iss": issuer}  # fmt: skip
    return _padded(GATEWAY.raw(json.dumps(told).encode(), json.dumps(claims).encode()))


def _signed(algorithm: str, **claims: Any) -> str:
    return GATEWAY.sign(algorithm, role=..., **{"email": "ann@example.com", **claims})


# The form that each gateway's assertions have, and the role that the guide's example gives to it.
FORMS: dict[str, tuple[Callable[[], str], str]] = {
    "Google Identity-Aware Proxy": (lambda: _signed(
        "ES256", iss="https://cloud.google.com/iap", aud="/projects/123456789/global/backendServices/987654321",
        sub="accounts.google.com:1234567890", hd="example.com", nbf=...), "admin"),
    "AWS Application Load Balancer": (_of_load_balancer, "admin"),
    "Cloudflare Access": (lambda: _signed(
        "RS256", iss="https://team.cloudflareaccess.com", type="app", identity_nonce="6ei69kawdKzMIAPF", country="US",
        aud=["32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c4228"], sub="7335d417-61da-459d-899c-0a01",
        custom={"groups": ["airflow-users", "others"]}), "user"),
    "oauth2-proxy": (lambda: "Bearer " + _signed(
        "RS256", iss="https://login.example.com/realms/data", aud="oauth2-proxy", nbf=..., typ="ID", azp="oauth2-proxy",
        preferred_username="ann@example.com", realm_access={"roles": ["offline_access", "airflow-admin"]}), "admin"),
    "Pomerium": (lambda: _signed(
        "ES256", iss="airflow.example.com", aud="airflow.example.com", jti="a", groups=["staff"], user="1"), "user"),
}  # fmt: skip


def _behind(name: str, home: Path, server: KeyServer) -> Identifier:
    """The guide's example, with keys of ours in place of the real ones."""
    path = "<kid>" if "<kid>" in EXAMPLES[name] else "keys"
    example = re.sub(r"(?m)^gateway_keys = .*", f"gateway_keys = http://127.0.0.1:{server.port}/{path}", EXAMPLES[name])
    told = _read(home, f"{ON}[service]\n{example}")
    assert told is not None
    return Identifier(told, Keys(told.keys))


@pytest.mark.parametrize("name", FORMS)
def test_the_guides_example_of_a_gateway(name: str, tmp_path: Path) -> None:
    """An assertion of its form is taken; one for somebody else's application, or of another kind, is not."""
    make, role = FORMS[name]
    with serving_keys(keys_of(GATEWAY)) as server:
        if "<kid>" in EXAMPLES[name]:
            server.paths["/11111111-2222-3333-4444-555555555555"] = GATEWAY.pem()
            server.content_type = "binary/octet-stream"
        identifier = _behind(name, tmp_path, server)
        assertion = make()
        assert identifier.identify(assertion) == Identity(
            "ann@example.com", Role(role), "ann@example.com", "ann@example.com"
        )
        scheme, _, token = assertion.rpartition(" ")
        head, body, signature = token.split(".")
        for bad in (f"{head}.{body}.{signature[::-1]}", GATEWAY.sign("ES256"), GATEWAY.sign("RS256"), assertion[:-9]):
            with pytest.raises(Refused):
                identifier.identify(f"{scheme} {bad}".strip())
        identifier.keys.end()


def test_the_guide_has_an_example_of_each_gateway() -> None:
    """None without a test."""
    assert EXAMPLES.keys() == FORMS.keys()


def test_another_load_balancer_is_not_ours(tmp_path: Path) -> None:
    """AWS signs for every account with the same keys: the header's signer tells them apart."""
    with serving_keys(lambda: b"", paths={"/11111111-2222-3333-4444-555555555555": GATEWAY.pem()}) as server:
        identifier = _behind("AWS Application Load Balancer", tmp_path, server)
        evil = "arn:aws:elasticloadbalancing:eu-central-1:666666666666:loadbalancer/app/evil/1"
        for signer in (evil, "", None, ["a"]):
            with pytest.raises(Refused) as refused:
                identifier.identify(_of_load_balancer(signer=signer))
            assert refused.value.check == "signer"
        identifier.keys.end()


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [
        *((host, True) for host in ("0.0.0.0", "::", "[::]", "*", "0", "::ffff:0.0.0.0", "8.8.8.8", "2606:4700::1")),
        *((host, False) for host in ("127.0.0.1", "::1", "10.0.0.9", "192.168.1.2", "fd00::1", "localhost")),
    ],
)
def test_the_webserver_is_for_the_proxy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, host: str, open_to_others: bool
) -> None:
    """All addresses, and one of the internet, stop its start; other commands go on, as all does without a gateway."""
    (tmp_path / "airflow.cfg").write_text(f"{ON}[service]\n{COMPLETE}", encoding="utf-8")
    monkeypatch.setenv("AIRFLOW__WEBSERVER__WEB_SERVER_HOST", host)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(start, "installed_manifest", lambda: None)
    start.stop_on_wrong_settings("scheduler")
    if not open_to_others:
        start.stop_on_wrong_settings("webserver")
        with pytest.raises(SystemExit):
            start.stop_on_wrong_settings("webserver", "0.0.0.0")
        assert "0.0.0.0  (--hostname)" in capsys.readouterr().err
        return
    # What the command line says counts.
    start.stop_on_wrong_settings("webserver", "127.0.0.1")
    with pytest.raises(SystemExit) as stopped:
        start.stop_on_wrong_settings("webserver")
    assert stopped.value.code == 78
    assert "allowed: 127.0.0.1" in capsys.readouterr().err
    home = str(tmp_path / "none")
    check_listening(Configuration.read({"AIRFLOW_HOME": home, "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": host}))
