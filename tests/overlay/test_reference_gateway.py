"""The reference gateway's configuration and its store; what it does over HTTP is tested with nginx."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jwt
import pytest
from airflow_service import cli
from airflow_service.reference_gateway.keys import Signer
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


def test_wrong_options_add_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cluster or a role that is wrong is found before there is a user whose password nobody has seen."""
    config = tmp_path / "gateway.toml"
    config.write_text(GOOD.replace("/var/lib/gateway", str(tmp_path / "state")))
    for wrong in (["--cluster", "eu-2", "--role", "user"], ["--cluster", "eu-1"], ["--role", "user"]):
        assert cli.main(["gateway", "add-user", "--user", "eve", *wrong, "--external", "--config", str(config)]) == 78
    assert Store.open(tmp_path / "state").users() == []


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


def test_an_ipv6_network_is_one_address(store: Store) -> None:
    """Who has one of its addresses has 2**64; an IPv4 address stays the same in either spelling."""
    for written, other in (
        ("2001:db8:1:2::{:x}", "2001:db8:1:3::1"), ("::ffff:192.0.2.1", "192.0.2.2"), ("192.0.2.9", "::1")
    ):  # fmt: skip
        tries = [store.try_login("eve", written.format(number), 0) for number in range(6)]
        assert tries == [True] * 5 + [False]
        assert store.try_login("eve", other, 0)
    assert not store.try_login("eve", "192.0.2.1", 0)
    store.forgive("eve", "2001:db8:1:2::ffff")
    assert store.try_login("eve", "2001:db8:1:2::1", 0)


def test_counting_tries_reads_no_whole_table(store: Store) -> None:
    """Each question has an index: a flood makes the next one no slower."""
    with store.reading() as database:
        for condition in (*LIMITS, "at < 0"):
            plan = database.execute(
                f"EXPLAIN QUERY PLAN SELECT count(*) FROM failures WHERE {condition}", {"user": "a", "address": "b"}
            ).fetchall()
            assert all("USING" in step[3] and "INDEX" in step[3] for step in plan), plan


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


def test_rotation_refuses_nobody(store: Store) -> None:
    """Whoever asks for the keys once a minute knows each that signs, until what it signed has expired."""
    signer = Signer(store, "https://a.test/gateway", assertion_seconds=60, key_days=1)
    published: dict[int, dict[str, jwt.PyJWK]] = {}
    signed = []
    kids = set()
    # The first key, one that is asked for, and one that comes by itself a day after it.
    times = [*range(0, 300, 30), *range(7200, 8100, 30), *range(93600, 94500, 30)]
    for now in times:
        if now == 7200:
            signer.rotate(now)
        keys = signer.key_set(now)["keys"]
        published[now] = {key["kid"]: jwt.PyJWK(key) for key in keys}
        token = signer.assertion("eve", "eu-1", "user", now)
        kid = jwt.get_unverified_header(token)["kid"]
        kids.add(kid)
        signed.append((now, token, kid))
    assert len(kids) == 3
    for now, token, kid in signed:
        options = {"verify_exp": False, "verify_iat": False}
        known = published[now][kid]
        claims = jwt.decode(token, known, ["ES256"], audience="eu-1", options=options)
        assert now - 30 <= claims["iat"] <= now
        for other in (now - 60, now + 90):
            assert kid in published.get(other, published[now])
    assert max(map(len, published.values())) <= 2
    with store.reading() as database:
        assert database.execute("SELECT count(*) FROM keys WHERE private IS NOT NULL").fetchone()[0] <= 2


def test_a_stolen_key_is_gone_at_once(store: Store) -> None:
    """Neither its public half nor an assertion that was kept is handed out again."""
    signer = Signer(store, "i", assertion_seconds=60, key_days=30)
    stolen = jwt.get_unverified_header(signer.assertion("eve", "eu-1", "user", 0))["kid"]
    kid = signer.rotate(1, at_once=True)
    assert jwt.get_unverified_header(signer.assertion("eve", "eu-1", "user", 2))["kid"] == kid != stolen
    assert [key["kid"] for key in signer.key_set(2)["keys"]] == [kid]


def test_an_assertion_serves_for_half_its_life(store: Store) -> None:
    """For one user, cluster and role."""
    signer = Signer(store, "i", assertion_seconds=60, key_days=30)
    first = signer.assertion("eve", "eu-1", "user", 100)
    assert signer.assertion("eve", "eu-1", "user", 129) == first
    assert signer.assertion("eve", "eu-1", "user", 130) != first
    others = [("bob", "eu-1", "user"), ("eve", "us-1", "user"), ("eve", "eu-1", "admin")]
    assert first not in [signer.assertion(*other, 101) for other in others]
