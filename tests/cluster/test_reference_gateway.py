"""`airflow-service gateway`, running: who gets an assertion, for what, and for how long."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from harness.gateway import ReferenceGateway, Visitor, hidden

pytestmark = [pytest.mark.slow]

CLUSTERS = {"eu-1": "http://a.test/airflow-1", "us-1": "https://other.test/airflow"}


@pytest.fixture(scope="module")
def gateway(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceGateway]:
    """One with the users admin and eve; eve may enter one of the clusters."""
    made = ReferenceGateway(installed, tmp_path_factory.mktemp("gateway"), "http://a.test/gateway", CLUSTERS)
    with made.serving():
        yield made


@pytest.fixture(scope="module")
def eve(gateway: ReferenceGateway) -> str:
    """Her password."""
    return gateway.add("eve", {"eu-1": "user"})


@pytest.fixture
def visitor(gateway: ReferenceGateway) -> Visitor:
    return Visitor(f"http://{gateway.address}", "/gateway")


def claims(response: requests.Response) -> dict[str, Any]:
    """What the assertion of an answer says, unverified."""
    _, body, _ = response.headers["X-Airflow-Assertion"].split(".")
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=="))
    return told


def key_id(response: requests.Response) -> str:
    head = response.headers["X-Airflow-Assertion"].split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=="))["kid"])


def ask(visitor: Visitor, cluster: str = "eu-1", least: str = "viewer") -> requests.Response:
    """nginx's question."""
    return visitor.get(f"/auth?cluster={cluster}&least={least}")


def test_safe_at_its_first_start(gateway: ReferenceGateway) -> None:
    """One password, printed once and kept as a hash; nothing that others can read."""
    assert gateway.process is not None
    assert gateway.process.output.count(gateway.password) == 1
    state = gateway.folder / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    for path in state.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert gateway.password.encode() not in path.read_bytes()
    assert gateway.command("users").splitlines()[0] == "admin  password  eu-1=admin, us-1=admin"


def test_login_and_what_the_assertion_says(gateway: ReferenceGateway, eve: str, visitor: Visitor) -> None:
    """Issuer, audience, subject, role, and a minute."""
    assert ask(visitor).status_code == 401
    done = visitor.login("eve", eve)
    assert (done.status_code, done.headers["Location"]) == (303, "/gateway/")
    answer = ask(visitor)
    assert answer.status_code == 204
    told = claims(answer)
    assert told["exp"] - told["iat"] == 60
    assert abs(told["iat"] - time.time()) < 10
    assert {**told, "iat": 0, "exp": 0} == {
        "iss": "http://a.test/gateway", "aud": "eu-1", "sub": "eve", "role": "user", "iat": 0, "exp": 0
    }  # fmt: skip
    [key] = [
        key for key in requests.get(gateway.keys, timeout=10).json()["keys"] if key["kid"] == key_id(answer)
    ]
    assert {"kty", "crv", "x", "y", "kid", "alg", "use"} == set(key)
    # The same one serves again, so that a webserver can remember it.
    assert ask(visitor).headers["X-Airflow-Assertion"] == answer.headers["X-Airflow-Assertion"]
    page = visitor.get("/gateway/").text
    assert 'href="http://a.test/airflow-1/"' in page
    assert "other.test" not in page


def test_roles_per_cluster(gateway: ReferenceGateway, eve: str, visitor: Visitor) -> None:
    """No role and a lesser one are 403, as is a cluster that nobody knows; a change shows at once."""
    visitor.login("eve", eve)
    statuses = [ask(visitor, *what).status_code for what in (
        ("us-1",), ("eu-1", "admin"), ("eu-1", "user"), ("none",), ("eu-1", "root"), ("",)
    )]  # fmt: skip
    assert statuses == [403, 403, 204, 403, 403, 403]
    try:
        for role, status in (("viewer", 403), ("admin", 204)):
            gateway.set_role("eve", "eu-1", role)
            assert claims(ask(visitor))["role"] == role
            assert ask(visitor, least="admin").status_code == status
        gateway.set_role("eve", "eu-1", "none")
        assert ask(visitor).status_code == 403
    finally:
        gateway.set_role("eve", "eu-1", "user")


def test_logout_ends_it(eve: str, visitor: Visitor) -> None:
    """Also for a copy of the cookie."""
    visitor.login("eve", eve)
    copied = Visitor(visitor.origin, "/gateway")
    copied.session.cookies.update(visitor.session.cookies)
    assert ask(copied).status_code == 204
    assert visitor.logout().headers["Location"] == "/gateway/login"
    assert ask(copied).status_code == 401
    assert ask(visitor).status_code == 401


def test_cookies_and_forms(gateway: ReferenceGateway, eve: str, visitor: Visitor) -> None:
    """Out of reach of scripts and other sites; a form without its token does nothing."""
    page = visitor.get("/gateway/login")
    form = page.headers["Set-Cookie"]
    assert "HttpOnly" in form
    assert "Path=/gateway/" in form
    assert "SameSite=Lax" in form
    values = {**hidden(page.text), "user": "eve", "password": eve}
    assert visitor.post("/gateway/login", {**values, "csrf_token": ""}).status_code == 400
    stranger = Visitor(visitor.origin, "/gateway")
    assert stranger.post("/gateway/login", values).status_code == 400
    done = visitor.post("/gateway/login", values)
    assert re.search(r"airflow_gateway=[\w-]{43}; HttpOnly; Path=/; SameSite=Lax", done.headers["Set-Cookie"])
    assert visitor.post("/gateway/logout", {}).status_code == 400
    # A link to it asks first.
    assert hidden(visitor.get("/gateway/logout").text)["csrf_token"]
    assert ask(visitor).status_code == 204
    assert "frame-ancestors 'none'" in done.headers["Content-Security-Policy"]


def test_where_a_login_leads(eve: str, visitor: Visitor) -> None:
    """To a page of a cluster, and to nothing else, whatever follows `next=`."""
    assert visitor.login("eve", eve, "/airflow-1/x?a=b&c=d").headers["Location"] == "/airflow-1/x?a=b&c=d"
    for wanted, target in (
        ("/airflow-1/admin/?a=b&c=d", "/airflow-1/admin/?a=b&c=d"),
        ("/airflow/x", "https://other.test/airflow/x"),
        ("/airflow-1/%0D%0ASet-Cookie:x", "/airflow-1/%0D%0ASet-Cookie:x"),
        ("//evil.test/airflow-1/", "/gateway/"),
        ("https://evil.test/airflow-1/", "/gateway/"),
        ("/airflow-1/../evil", "/gateway/"),
        ("/%5cevil.test/airflow-1", "/gateway/"),
        ("/airflow-1@evil.test/", "/gateway/"),
    ):
        # Who is logged in already is led on at once.
        assert visitor.get(f"/gateway/login?next={wanted}").headers["Location"] == target


def test_guessing(gateway: ReferenceGateway, eve: str) -> None:
    """Five wrong ones from one address are let through, also for a name that nobody has."""
    for user in ("eve", "nobody-of-that-name"):
        visitor = Visitor(f"http://{gateway.address}", "/gateway")
        visitor.session.headers["X-Forwarded-For"] = f"192.0.2.{len(user)}"
        pages = [visitor.login(user, "wrong") for _ in range(6)]
        assert [page.status_code for page in pages] == [403] * 5 + [429]
        assert "User name or password is wrong" in pages[0].text
        # Not with the right one either, from there; from elsewhere still.
        assert visitor.login(user, eve).status_code == 429
    visitor.session.headers["X-Forwarded-For"] = "192.0.2.200"
    assert visitor.login("eve", eve).status_code == 303
    assert gateway.process is not None
    assert eve not in gateway.process.output


def test_a_flood_of_logins(gateway: ReferenceGateway, eve: str, visitor: Visitor) -> None:
    """Whoever is logged in is answered for as before; who comes too late is told to come again."""
    visitor.login("eve", eve)
    stranger = Visitor(visitor.origin, "/gateway")
    form = {**hidden(stranger.get("/gateway/login").text), "user": "x", "password": "wrong"}
    cookies, answers, times = stranger.session.cookies.get_dict(), [], []

    def knock(number: int) -> None:
        told = {"X-Forwarded-For": f"198.51.100.{number}"}
        answers.append(
            requests.post(f"{visitor.origin}/gateway/login", form, headers=told, cookies=cookies, timeout=60)
        )

    knocking = [threading.Thread(target=knock, args=(number,)) for number in range(40)]
    for thread in knocking:
        thread.start()
    while any(thread.is_alive() for thread in knocking):
        began = time.monotonic()
        assert ask(visitor).status_code == 204
        times.append(time.monotonic() - began)
    late = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) == 40
    assert {answer.status_code for answer in answers} == {403, 429}
    assert all(answer.headers["Retry-After"] == "2" for answer in late)
    # A hash takes more than a tenth of a second's work: no answer waits for the 40 of them.
    assert max(times) < 2


def test_a_new_password(gateway: ReferenceGateway, visitor: Visitor) -> None:
    """The old one and what was opened with it are over; the roles stay. There is none for who has none."""
    old = gateway.add("carol", {"eu-1": "viewer"})
    visitor.login("carol", old)
    new = gateway.command("set-password", "--user", "carol").split()[-1]
    assert ask(visitor).status_code == 401
    assert visitor.login("carol", old).status_code == 403
    assert visitor.login("carol", new).status_code == 303
    assert claims(ask(visitor))["role"] == "viewer"
    gateway.command("add-user", "--user", "dave@a.test", "--external")
    for user in ("dave@a.test", "nobody"):
        assert "with a password" in gateway.refused("set-password", "--user", user)


def test_rotation(gateway: ReferenceGateway, visitor: Visitor) -> None:
    """A new key is published before it signs; after a theft the old one is gone at once."""
    visitor.login("admin", gateway.password)
    before = key_id(ask(visitor))
    waiting = gateway.command("rotate").split()[4]
    assert key_id(ask(visitor)) == before
    kids = [key["kid"] for key in requests.get(gateway.keys, timeout=10).json()["keys"]]
    assert kids == [waiting, before]
    assert waiting in gateway.command("rotate")
    after = gateway.command("rotate", "--at-once").split()[4]
    assert key_id(ask(visitor)) == after
    assert [key["kid"] for key in requests.get(gateway.keys, timeout=10).json()["keys"]] == [after]


def test_a_removed_user(gateway: ReferenceGateway, visitor: Visitor) -> None:
    """Sessions end with the user, and do not come back with another one of that name."""
    password = gateway.add("mallory", {"eu-1": "admin"})
    visitor.login("mallory", password)
    assert ask(visitor).status_code == 204
    gateway.command("remove-user", "--user", "mallory")
    assert ask(visitor).status_code == 401
    gateway.add("mallory", {"eu-1": "user"})
    assert ask(visitor).status_code == 401
    assert visitor.login("mallory", password).status_code == 403


def test_over_tls(installed: Path, tmp_path: Path) -> None:
    """The cookie is this host's alone, and a form has to come from the gateway's own pages."""
    gateway = ReferenceGateway(installed, tmp_path, "https://a.test/gateway", {"eu-1": "https://a.test/x"})
    with gateway.serving():
        url = f"http://{gateway.address}"
        page = requests.get(f"{url}/gateway/login", timeout=10)
        form = page.headers["Set-Cookie"]
        assert "; Secure" in form
        values = {**hidden(page.text), "user": "admin", "password": gateway.password}
        own = {"Cookie": form.partition(";")[0], "Referer": "https://a.test/gateway/login"}
        for referer, status in (("https://evil.test/gateway/login", 400), (own["Referer"], 303)):
            answer = requests.post(
                f"{url}/gateway/login",
                values,
                headers={**own, "Referer": referer},
                allow_redirects=False,
                timeout=10,
            )
            assert answer.status_code == status
        found = re.search(
            r"(__Host-airflow_gateway=[\w-]+); Secure; HttpOnly; Path=/; SameSite=Lax",
            answer.headers["Set-Cookie"],
        )
        assert found
        assert (
            requests.get(f"{url}/auth?cluster=eu-1", headers={"Cookie": found[1]}, timeout=10).status_code
            == 204
        )
        # The name that it has without TLS, which another page of the host could set, is none here.
        plain = found[1].removeprefix("__Host-")
        assert (
            requests.get(f"{url}/auth?cluster=eu-1", headers={"Cookie": plain}, timeout=10).status_code == 401
        )


def test_wrong_commands(gateway: ReferenceGateway, tmp_path: Path) -> None:
    """Exit code 78, and what is wrong."""
    refused = gateway.refused
    assert "there is no user 'x'" in refused("set-role", "--user", "x", "--cluster", "eu-1", "--role", "user")
    assert "no 'x'" in refused("set-role", "--user", "admin", "--cluster", "x", "--role", "user")
    assert "already" in refused("add-user", "--user", "admin")
    assert "too short" in refused("add-user", "--user", "x", "--password-stdin", given="short\n")
    (gateway.folder / "state" / "gateway.db").chmod(0o644)
    try:
        assert "open to others" in refused("users")
    finally:
        (gateway.folder / "state" / "gateway.db").chmod(0o600)
