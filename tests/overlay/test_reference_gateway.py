"""The reference gateway's configuration and its store; what it does over HTTP is tested with nginx."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from airflow_service import cli
from airflow_service.reference_gateway.settings import WrongGateway, parse_settings
from airflow_service.reference_gateway.store import LIMITS, WINDOW, Lifetime, Store

GOOD = """
url = "https://a.test/gateway"
state = "/var/lib/gateway"
[[cluster]]
id = "eu-1"
url = "https://a.test/airflow-1"
"""
OIDC = {"issuer": "https://sso.test", "client_id": "airflow", "client_secret_file": "/etc/secret"}
LIFE = Lifetime(most=1000, idle=100)


def table(**more: Any) -> dict[str, Any]:
    return {**tomllib.loads(GOOD), **more}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "state")


def test_defaults() -> None:
    """The loopback, a minute, and itself as the issuer."""
    settings = parse_settings(table(), "t")
    assert (settings.host, settings.port) == ("127.0.0.1", 8090)
    assert settings.issuer == "https://a.test/gateway"
    assert settings.assertion_seconds == 60
    assert settings.provider is None
    assert str(settings.clusters[0].url) == "https://a.test/airflow-1"
    assert parse_settings(table(listen="[::1]:9"), "t").host == "::1"


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"listen": "0.0.0.0:8090"}, "listen: '0.0.0.0:8090' is no address of the loopback"),
        ({"listen": "gateway:8090"}, "listen: 'gateway:8090' is no address of the loopback"),
        ({"listen": "127.0.0.1:0"}, "listen: '127.0.0.1:0' is no address"),
        ({"url": "a.test"}, "url: 'a.test' is not the URL that browsers show"),
        ({"state": "state"}, "state: 'state' is no absolute path"),
        ({"assertion_seconds": 3600}, "assertion_seconds: 3600 is no whole number from 10 to 600"),
        ({"cluster": []}, "cluster: there is none"),
        ({"cluster": [{"id": "a b", "url": "http://a/b"}]}, "cluster 1: id: 'a b' is not 1 to 64"),
        ({"cluster": [{"id": "a", "url": "http://a/b"}] * 2}, "cluster: 'a' is there twice"),
        (
            {"oidc": {**OIDC, "issuer": "http://sso.test"}},
            "oidc.issuer: 'http://sso.test' is not an https URL",
        ),
        ({"oidc": {**OIDC, "secret": "x"}}, "oidc.secret: there is no such key"),
        ({"password": "x"}, "password: there is no such key"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], fault: str) -> None:
    """With the place and what is allowed; the command ends with 78."""
    with pytest.raises(WrongGateway) as caught:
        parse_settings(table(**wrong), "gateway.toml")
    assert f"  {fault}" in str(caught.value)
    assert caught.value.exit_code == 78


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Users who log in elsewhere are added, given a role, listed and removed."""
    config = tmp_path / "gateway.toml"
    config.write_text(GOOD.replace("/var/lib/gateway", str(tmp_path / "state")))
    for arguments, code in (
        (["add-user", "--user", "eve@a.test", "--external", "--cluster", "eu-1", "--role", "user"], 0),
        (["add-user", "--user", "eve@a.test", "--external"], 78),
        (["add-user", "--user", "a b", "--external"], 78),
        (["set-role", "--user", "eve@a.test", "--cluster", "eu-1"], 78),
        (["set-role", "--user", "eve@a.test", "--cluster", "eu-1", "--role", "viewer"], 0),
        (["users"], 0),
        (["remove-user", "--user", "eve@a.test"], 0),
        (["remove-user", "--user", "eve@a.test"], 78),
    ):
        assert cli.main(["gateway", *arguments, "--config", str(config)]) == code
    assert capsys.readouterr().out == "eve@a.test  external  eu-1=viewer\n"
    assert cli.main(["gateway", "users", "--config", str(tmp_path / "none")]) == 78


def test_sessions_end(store: Store) -> None:
    """After their most, without a request, and with their user; no token is kept."""
    store.add_user("eve", None)
    token = store.begin_session("eve", 0, LIFE)
    assert token.encode() not in store.path.read_bytes()
    assert store.session_user(token, 90, LIFE) == "eve"
    assert store.session_user(token, 180, LIFE) == "eve"
    assert store.session_user(token, 290, LIFE) is None
    token = store.begin_session("eve", 300, LIFE)
    for now in range(300, 1300, 50):
        assert store.session_user(token, now, LIFE) == "eve"
    assert store.session_user(token, 1301, LIFE) is None
    token = store.begin_session("eve", 2000, LIFE)
    for wrong in ("", token[:-1], token.upper(), "x" * 10_000, "\udcff"):
        assert store.session_user(wrong, 2000, LIFE) is None
    store.remove_user("eve")
    assert store.session_user(token, 2000, LIFE) is None


def test_tries_are_counted(store: Store) -> None:
    """By user and address, by address, by user; a success forgives, and time does."""
    per_pair, per_address, per_user = LIMITS.values()
    assert [store.try_login("eve", "a", 0) for _ in range(per_pair + 1)] == [True] * per_pair + [False]
    assert store.try_login("eve", "b", 0)
    store.forgive("eve", "a")
    assert store.try_login("eve", "a", 0)
    tries = [store.try_login(f"user{number}", "c", 0) for number in range(per_address + 1)]
    assert tries == [True] * per_address + [False]
    tries = [store.try_login("bob", f"address{number}", 0) for number in range(per_user + 1)]
    assert tries == [True] * per_user + [False]
    assert store.try_login("bob", "c", WINDOW + 1)


def test_who_logs_in_where(store: Store) -> None:
    """A user with a password is none of the provider's, and the other way round."""
    store.add_user("eve", None)
    store.add_user("admin", "hash")
    assert not store.add_user("admin", None)
    assert (store.is_external("eve"), store.is_external("admin"), store.is_external("x")) == (
        True,
        False,
        False,
    )
    assert (store.password("eve"), store.password("admin"), store.password("x")) == (None, "hash", None)
    assert store.secret("a") == store.secret("a") != store.secret("b")
