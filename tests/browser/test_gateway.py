"""The way in, as people walk it: nginx, the reference gateway and Airflow, in a real browser."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
import requests
from harness import walk
from harness.assertions import HEADER
from harness.browsing import Watched
from harness.gateway import ReferenceGateway, Visitor
from harness.made import MADE
from harness.nginx import nginx
from harness.processes import free_port, wait_for
from harness.role_server import Answer
from harness.route_sweep import sweep
from harness.servers import program
from harness.site import Site
from playwright.sync_api import Browser, Page, expect
from www_client import DAG, RUN_DAG

pytestmark = [pytest.mark.slow]

PREFIX, CLUSTER = "/airflow-walk", "walk"
_VALUES = """\
listen = ["127.0.0.1:{}"]
[gateway]
address = ["{}"]
prefix = "/gateway"
[[cluster]]
id = "{}"
prefix = "{}"
webserver = ["{}"]
"""
ADMINS = f"{PREFIX}/admin/connection/"


@dataclass(frozen=True)
class Way:
    """The host that browsers see, the gateway behind it, and passwords by user."""

    host: str
    gateway: ReferenceGateway
    passwords: dict[str, str]
    site: Site
    webserver: str

    def asking(self, user: str) -> requests.Session:
        """Somebody who has logged in, and is no browser."""
        visitor = Visitor(f"http://{self.host}", "/gateway")
        assert visitor.login(user, self.passwords[user]).status_code == 303
        return visitor.session


@pytest.fixture(scope="module")
def way(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """A webserver of its own, which takes the gateway's word alone."""
    program("nginx")
    folder, port = tmp_path_factory.mktemp("way"), free_port()
    origin = f"http://127.0.0.1:{port}"
    gateway = ReferenceGateway(installed, folder, f"{origin}/gateway", {CLUSTER: f"{origin}{PREFIX}"})
    own = Site(
        installed,
        folder / "home",
        {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__WEBSERVER__AUTHENTICATE": "True",
            "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow_service.gateway",
            "AIRFLOW__API__AUTH_BACKEND": "airflow_service.gateway",
            "AIRFLOW__SERVICE__CLUSTER_ID": CLUSTER,
            "AIRFLOW__SERVICE__GATEWAY_KEYS": gateway.keys,
            "AIRFLOW__SERVICE__GATEWAY_ISSUER": gateway.url,
        },
    )
    (folder / "dags").mkdir()
    (folder / "dags" / "pair.py").write_text(DAG)
    own.run("initdb")
    own.run("-c", f"from airflow import models\n{RUN_DAG}", command="python")
    with gateway.serving(), own.webserver(f"{origin}{PREFIX}") as (webserver, _):
        values, included = folder / "values.toml", folder / "airflow.conf"
        values.write_text(
            _VALUES.format(port, gateway.address, CLUSTER, PREFIX, webserver.removeprefix("http://"))
        )
        own.run(
            "render", "nginx", "--values", str(values), "--output", str(included), command="airflow-service"
        )
        with nginx(folder, included, port):
            roles = {"eve": "user", "vic": "viewer"}
            passwords = {name: gateway.add(name, {CLUSTER: role}) for name, role in roles.items()}
            yield Way(f"127.0.0.1:{port}", gateway, {**passwords, "admin": gateway.password}, own, webserver)


@pytest.fixture
def watched(browser: Browser, way: Way) -> Iterator[Watched]:
    """A page of a new browser profile; whatever goes wrong on it fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB")
    context.set_default_timeout(30_000)
    made = Watched(context.new_page(), way.host, MADE / "screenshots")
    yield made
    context.close()
    made.check()


def log_in(watched: Watched, way: Way, user: str) -> Page:
    """Ask for the list of DAGs, be led to the login, and back."""
    page = walk.log_in(watched, f"{PREFIX}/admin/?showPaused=True&hide=x", user, way.passwords[user])
    expect(page.locator("#dags")).to_be_visible()
    return page


def test_an_administrator_and_a_user(watched: Watched, way: Way) -> None:
    """One sees and opens what the other neither sees nor can open; log-out ends it."""
    page = log_in(watched, way, "admin")
    assert {"DAGs", "Admin", "Data Profiling"} <= set(walk.menus(page))
    page.locator("nav a.dropdown-toggle", has_text="Admin").click()
    page.locator("nav a", has_text="Connections").click()
    watched.settle()
    assert page.url == f"http://{way.host}{ADMINS}"
    watched.open(f"{PREFIX}/admin/variable/new/")
    page.locator("#key").fill("through_the_gateway")
    page.locator("#val").fill("x")
    page.locator("input[type=submit]").first.click()
    watched.settle()
    expect(page.locator("tr", has_text="through_the_gateway")).to_be_visible()
    watched.shot("gateway-admin")
    cookies = page.context.cookies()
    walk.log_out(watched, PREFIX)
    # A copy of what the browser had opens nothing any more.
    page.context.add_cookies([{**one, "url": None} for one in cookies])  # type: ignore[arg-type, list-item]
    log_in(watched, way, "eve")
    assert "DAGs" in walk.menus(page)
    assert not {"Admin", "Data Profiling"} & set(walk.menus(page))
    with page.expect_response(lambda answer: "/airflow/paused" in answer.url) as paused:
        page.locator(".toggle").first.click()
    assert (paused.value.request.method, paused.value.status) == ("POST", 200)
    watched.shot("gateway-user")
    for path in ("connection", "variable", "queryview", "pool", "configurationview"):
        watched.open(f"{PREFIX}/admin/{path}/", 403)


def test_a_role_shows_on_the_next_click(watched: Watched, way: Way) -> None:
    """Up, down and out, while somebody is logged in."""
    page = log_in(watched, way, "eve")
    assert "Admin" not in walk.menus(page)
    way.gateway.set_role("eve", CLUSTER, "admin")
    page.locator("nav a", has_text="DAGs").first.click()
    watched.settle()
    assert "Admin" in walk.menus(page)
    watched.open(ADMINS)
    way.gateway.set_role("eve", CLUSTER, "user")
    watched.open(ADMINS, 403)
    way.gateway.set_role("eve", CLUSTER, "none")
    watched.open(f"{PREFIX}/admin/", 403)
    expect(page.locator("h1")).to_have_text("This is not open to you")
    way.gateway.set_role("eve", CLUSTER, "user")


def test_a_session_that_ended_meanwhile(watched: Watched, way: Way) -> None:
    """Scripts of the page are told, nothing is shown to them; the next click leads to the login."""
    page = log_in(watched, way, "eve")
    page.context.clear_cookies()
    watched.expected = (f"{PREFIX}/api/experimental/test",)
    told = page.evaluate(
        "path => fetch(path).then(answer => answer.json().then(body => [answer.status, body.error]))",
        f"{PREFIX}/api/experimental/test",
    )
    assert told == [401, "You are not logged in"]
    page.locator("nav a", has_text="DAGs").first.click()
    watched.settle()
    expect(page.locator("h1")).to_have_text("Log in")


def test_a_rotation_under_load_is_not_noticed(way: Way) -> None:
    """From the old key to the new one between two requests of many, once the webserver has asked for the keys.

    It asks by itself once a minute, and the new key signs after two; the test makes both sooner.
    """
    sessions = [way.asking("eve") for _ in range(3)]
    path = f"{PREFIX}/api/experimental/test"
    ended, statuses = threading.Event(), []

    def ask(session: requests.Session) -> None:
        while not ended.wait(0.02):
            statuses.append(session.get(f"http://{way.host}{path}", timeout=60).status_code)

    def known() -> bool:
        headers = {HEADER: early}
        # Each worker has its own keys.
        return all(requests.get(f"{way.webserver}{path}", headers=headers, timeout=60).ok for _ in range(30))

    with ThreadPoolExecutor(3) as pool, closing(sqlite3.connect(way.gateway.folder / "state" / "gateway.db")) as keys:
        asking = [pool.submit(ask, session) for session in sessions]
        way.gateway.command("rotate")
        kid, private = keys.execute("SELECT kid, private FROM keys ORDER BY starts DESC").fetchone()
        now = int(time.time())
        claims = {"iss": way.gateway.url, "aud": CLUSTER, "sub": "eve", "role": "user", "iat": now, "exp": now + 300}
        early = jwt.encode(claims, private, "ES256", {"kid": kid})
        try:
            wait_for("the webserver to have the new key", known, 60)
            with keys:
                keys.execute("UPDATE keys SET starts = ? WHERE kid = ?", (time.time(), kid))
            time.sleep(2)
        finally:
            ended.set()
        for each in asking:
            each.result()
    visitor = Visitor(f"http://{way.gateway.address}", "/gateway")
    visitor.session.cookies.update(sessions[0].cookies)
    assertion = visitor.get(f"/auth?cluster={CLUSTER}").headers[HEADER]
    assert jwt.get_unverified_header(assertion)["kid"] == kid
    assert len(statuses) > 50
    assert set(statuses) == {200}


def test_each_route_by_role(way: Way) -> None:
    """The table of routes through nginx: every method of every route, for each role and for nobody."""
    calls = json.loads(way.site.run("routes", "--json", command="airflow-service").stdout)
    assert len(calls) > 150
    users = {"admin": way.asking("admin"), "user": way.asking("eve"), "viewer": way.asking("vic")}
    sessions = {**users, None: requests.Session()}

    def ask(method: str, path: str, role: str | None) -> Answer:
        url = f"http://{way.host}{PREFIX}{path}"
        answer = sessions[role].request(method, url, allow_redirects=False, timeout=60)
        return Answer(answer.status_code, dict(answer.headers), answer.text)

    # What the webserver gives to anybody, nginx does not; a log-out is the gateway's for all.
    guarded = [{**call, "nobody": 401} for call in calls if call["endpoint"] != "airflow.logout"]
    assert sweep(guarded, ask) == []
