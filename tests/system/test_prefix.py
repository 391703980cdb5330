"""Two webservers below prefixes of one host, behind a real nginx that treats the prefix in three ways."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from harness.nginx import nginx
from harness.processes import free_port
from harness.site import NewSite, Site
from harness.visitor import Visitor
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.slow]

FIRST, SECOND = "/airflow-1", "/airflow-19289"
API = "api/experimental"
_PLUGIN = Path(__file__).parents[1] / "samples" / "plugins" / "folder" / "classic"
_TABLES = """
CREATE TABLE classic_team (id INTEGER PRIMARY KEY, name VARCHAR(50) UNIQUE NOT NULL);
CREATE TABLE classic_member (id INTEGER PRIMARY KEY, name VARCHAR(50), on_call BOOLEAN, team_id INTEGER);
"""
_ADD_USERS = """
from airflow import models
from airflow.contrib.auth.backends.password_auth import PasswordUser
from airflow.utils.db import create_session
with create_session() as session:
    user = PasswordUser(models.User())
    user.username, user.email, user.password, user.superuser = "ann", "ann@x", "a-secret", True
    session.add(user)
"""
# As Flask-Login does for a backend that has a box "remember me".
_REMEMBERS = """
from airflow.plugins_manager import AirflowPlugin
from flask import Blueprint, session
remembers = Blueprint("remembers", __name__)
@remembers.route("/remember")
def remember():
    session["_remember"] = "set"
    return "yes"
class Remembers(AirflowPlugin):
    name = "remembers"
    flask_blueprints = [remembers]
"""
_WITH_USERS = {
    "AIRFLOW__WEBSERVER__AUTHENTICATE": "True",
    "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow.contrib.auth.backends.password_auth",
    "AIRFLOW__API__AUTH_BACKEND": "airflow.api.auth.backend.default",
    # One worker is enough, and no other holds a page's answer from before.
    "AIRFLOW__WEBSERVER__WORKERS": "1",
}
# The client's own headers pass through, as they do where nobody thought of them.
_SERVER = """
server {{
    listen 127.0.0.1:{port};
    underscores_in_headers on;
    location {first}/ {{ proxy_pass http://127.0.0.1:{web}{end}; proxy_set_header Host $http_host; {more} }}
    location {second}/ {{ proxy_pass http://127.0.0.1:{other}/; proxy_set_header Host $http_host; }}
}}
"""
_FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Port": "6666",
    "X-Forwarded-For": "evil.example",
    "X-Forwarded-Scheme": "https",
    "X-Script-Name": "/evil",
    "X-Forwarded-Script-Name": "/evil",
    "Script-Name": "/evil",
    "SCRIPT_NAME": "/evil",
    "PATH_INFO": "/evil",
    "X_FORWARDED_PREFIX": "/evil",
    "Forwarded": "host=evil.example;proto=https",
    "X-Original-URL": "/evil",
    "X-Rewrite-URL": "/evil",
}


@dataclass
class Place:
    """Both webservers behind nginx, and the ways to them."""

    ways: dict[str, str]
    """The first cluster's URL for each way that nginx treats the prefix."""
    second: str
    direct: str
    """The first webserver without nginx."""


@pytest.fixture(scope="module")
def place(new_site: NewSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    ports = {"passed on": free_port(), "stripped": free_port(), "told": free_port()}
    public = f"http://127.0.0.1:{ports['passed on']}"
    with ExitStack() as stack:
        webs = []
        for prefix in (FIRST, SECOND):
            site = new_site(prefix.strip("/"), **_WITH_USERS)
            _furnish(site)
            webs.append(stack.enter_context(site.webserver(public + prefix))[0])
        web, other = (url.rpartition(":")[2] for url in webs)
        ways = {"passed on": ("", ""), "stripped": ("/", ""),
                "told": ("/", f"proxy_set_header X-Forwarded-Prefix {FIRST};")}  # fmt: skip
        servers = "".join(
            _SERVER.format(
                port=ports[way], first=FIRST, second=SECOND, web=web, other=other, end=end, more=more
            )
            for way, (end, more) in ways.items()
        )
        folder = tmp_path_factory.mktemp("nginx")
        (folder / "servers.conf").write_text(servers)
        stack.enter_context(nginx(folder, folder / "servers.conf", ports["told"]))
        yield Place(
            {way: f"http://127.0.0.1:{port}{FIRST}" for way, port in ports.items()}, public + SECOND, webs[0]
        )


def _furnish(site: Site) -> None:
    shutil.copytree(_PLUGIN, site.home / "plugins" / "classic", ignore=shutil.ignore_patterns("__pycache__"))
    (site.home / "plugins" / "remembers.py").write_text(_REMEMBERS)
    site.run("initdb")
    site.run("-c", _ADD_USERS, command="python")
    with closing(sqlite3.connect(site.home / "airflow.db")) as database:
        database.executescript(_TABLES)


@pytest.fixture(params=["passed on", "stripped", "told"])
def url(place: Place, request: pytest.FixtureRequest) -> str:
    """The first cluster, by each way."""
    return place.ways[request.param]


@pytest.fixture
def visitor(url: str) -> Visitor:
    made = Visitor(url)
    made.login()
    return made


def test_login_comes_back_to_the_page(url: str) -> None:
    """Who asks for a page without a session is sent to the login, and then to the page."""
    browser = Visitor(url)
    page = browser.get(f"{url}/admin/?page=0", timeout=60)
    assert page.url.startswith(f"{url}/admin/airflow/login?next=%2Fairflow-1%2Fadmin%2F")
    back = browser.login()
    assert back.url == f"{url}/admin/pool/"
    assert "default_pool" in back.text


def test_every_page_of_the_menu_is_below_the_prefix(visitor: Visitor) -> None:
    """Airflow's, and a plugin's views, blueprint and link."""
    index = visitor.page("admin/")
    menu = set(re.findall(rf'href="({visitor.prefix}/[^"#]+)"', index))
    assert {
        f"{visitor.prefix}/admin/{name}/" for name in ("pool", "variable", "helloview", "team")
    } <= menu
    # These are sent as forms by a script, or end the session.
    pages = {path for path in menu if not re.search("/airflow/(delete|refresh|logout)", path)}
    for path in sorted(pages):
        answer = visitor.get(urljoin(visitor.url, unescape(path)), timeout=60)
        assert answer.status_code == 200, path
        visitor.look_at(answer)
    for path in ("graph", "tree", "duration", "gantt", "landing_times", "tries", "code", "dag_details"):
        visitor.page(f"admin/airflow/{path}?dag_id=everyday")


def test_flask_admins_forms_lists_and_actions(visitor: Visitor) -> None:
    """Create with a message, filter, page, edit, act on many, export; a plugin's and Airflow's own."""
    for name in ("red", "blue"):
        made = visitor.submit("admin/team/new/", "admin/team/new/", name=name)
        assert made.url == f"{visitor.url}/admin/team/"
        assert "successfully created" in made.text
    filtered = visitor.page("admin/team/?search=red&sort=0&page=0")
    assert "RED" in filtered
    assert "BLUE" not in filtered
    back = f"{visitor.prefix}/admin/team/?search=red"
    edit = next(link for link in re.findall(r'href="([^"]*/edit/[^"]*)"', filtered) if "id=" in link)
    saved = visitor.submit(unescape(edit), unescape(edit), name="green")
    assert saved.url.startswith(f"{visitor.url}/admin/team/?")
    export = visitor.get(f"{visitor.url}/admin/team/export/csv/", timeout=60)
    assert (export.status_code, "green" in export.text.lower()) == (200, True)
    ids = re.findall(r'name="rowid"[^>]*value="(\d+)"', visitor.page("admin/team/"))
    assert len(ids) == 2
    done = visitor.post(
        f"{visitor.url}/admin/team/action/",
        data=[*[("rowid", one) for one in ids], ("action", "delete"), ("url", back),
              ("csrf_token", _token(visitor.page("admin/team/")))],
        timeout=60,
    )  # fmt: skip
    assert done.url == f"{visitor.url}/admin/team/?search=red"
    assert "successfully deleted" in done.text
    visitor.look_at(done)
    said = visitor.submit("admin/helloview/", "admin/helloview/say", text="under a prefix")
    assert "You said under a prefix" in said.text


def _token(page: str) -> str:
    found = re.search(r'csrf_token"[^>]*value="([^"]+)"', page) or re.search(
        r"csrf[^\n]*'([\w.-]{40,})'", page
    )
    assert found
    return found[1]


def test_actions_on_a_dag_lead_back(visitor: Visitor) -> None:
    """Trigger with an origin, and refresh with a Referer: both come back to where they were begun."""
    origin = f"{visitor.prefix}/admin/airflow/graph?dag_id=everyday"
    page = "admin/airflow/trigger?dag_id=everyday"
    sent = visitor.submit(page, "admin/airflow/trigger", dag_id="everyday", origin=origin)
    assert sent.url == urljoin(visitor.url, origin)
    assert "it should start any moment now" in sent.text
    away = visitor.submit(page, "admin/airflow/trigger", dag_id="everyday", origin="//evil.example")
    assert away.url == f"{visitor.url}/admin/"
    refreshed = visitor.submit(origin, "admin/airflow/refresh?dag_id=everyday")
    assert refreshed.url == urljoin(visitor.url, origin)


def test_the_api_and_health_answer_below_the_prefix(url: str) -> None:
    """The experimental API, and what a supervisor asks."""
    assert requests.get(f"{url}/{API}/test", timeout=60).json() == {"status": "OK"}
    assert requests.get(f"{url}/health", timeout=60).json()["metadatabase"]["status"] == "healthy"


def test_forged_headers_change_nothing(url: str) -> None:
    """Neither together nor alone; the prefix's own header is overwritten, or an error."""
    plain = requests.get(f"{url}/admin/", timeout=60, allow_redirects=False)
    assert plain.status_code == 302
    tries = [_FORGED, *({name: value} for name, value in _FORGED.items()), {"Host": "evil.example"}]
    for headers in tries:
        answer = requests.get(f"{url}/admin/", headers=headers, timeout=60, allow_redirects=False)
        if answer.status_code == 400:
            # gunicorn's word on a scheme that contradicts itself; the answer tells nothing of ours.
            assert "X-Forwarded-Proto" in headers
            continue
        assert (answer.status_code, answer.headers["Location"]) == (302, plain.headers["Location"]), headers
        slash = requests.get(f"{url}/admin", headers=headers, timeout=60, allow_redirects=False)
        assert slash.headers["Location"] == f"{FIRST}/admin/"
        page = requests.get(f"{url}/admin/airflow/login", headers=headers, timeout=60)
        assert "evil" not in page.text
        assert not [name for name in page.headers.values() if "evil" in name]
    prefix = requests.get(
        f"{url}/admin/", headers={"X-Forwarded-Prefix": "/evil"}, timeout=60, allow_redirects=False
    )
    assert prefix.status_code == 400 or prefix.headers["Location"] == plain.headers["Location"]
    assert "evil" not in prefix.text


def test_paths_at_the_edge(place: Place) -> None:
    """On the machine itself: with the prefix, without it, and beside it."""

    def asked(path: str) -> tuple[int, str]:
        answer = requests.get(place.direct + path, timeout=60, allow_redirects=False)
        return answer.status_code, answer.headers.get("Location", "")

    for path in ("/", FIRST, f"{FIRST}/"):
        assert asked(path) == (302, f"{FIRST}/admin/"), path
    assert asked("/health")[0] == asked(f"{FIRST}/health")[0] == 200
    assert asked(f"{FIRST}x/health")[0] == asked(f"{SECOND}/health")[0] == 404
    assert asked(f"{FIRST}%2Fhealth")[0] == 200
    told = requests.get(f"{place.direct}/health", headers={"X-Forwarded-Prefix": "/other"}, timeout=60)
    assert told.status_code == 400
    assert "base_url" in told.text


def test_clusters_of_one_host_leave_each_other_alone(place: Place) -> None:
    """One browser, one cookie jar: sessions, tokens, messages and logouts of one are not the other's."""
    first, second = Visitor(place.ways["passed on"]), Visitor(place.second)
    second.cookies = first.cookies
    assert first.login().url == f"{first.url}/admin/pool/"
    assert second.get(f"{second.url}/admin/", timeout=60).url.startswith(f"{second.url}/admin/airflow/login")
    assert second.login().url == f"{second.url}/admin/pool/"
    # Both forms are open before the first is sent.
    forms = {
        browser: _token(browser.page("admin/airflow/trigger?dag_id=everyday")) for browser in (first, second)
    }
    for browser, token in forms.items():
        sent = browser.post(
            f"{browser.url}/admin/airflow/trigger", timeout=60,
            data={"csrf_token": token, "dag_id": "everyday", "conf": "{}"},
        )  # fmt: skip
        assert "it should start any moment now" in sent.text
        assert sent.url == f"{browser.url}/admin/"
    second.page("admin/airflow/logout")
    assert "default_pool" in first.page("admin/pool/")
    assert second.get(f"{second.url}/admin/pool/", timeout=60).status_code == 403
    names = {cookie.name: cookie.path for cookie in first.cookies}
    assert sorted(names.values()) == [FIRST, SECOND]
    assert all(re.fullmatch(r"airflow_session_[0-9a-f]{8}", name) for name in names)


def test_clusters_of_one_host_in_one_chromium(place: Place, browser: Browser) -> None:
    """Two tabs, with sessions and remembered logins: nothing that is done in one reaches the other."""
    context = browser.new_context()
    urls = (place.ways["passed on"], place.second)
    tabs = {url: context.new_page() for url in urls}
    for url, tab in tabs.items():
        tab.goto(f"{url}/admin/airflow/login")
        tab.fill("input[name=username]", "ann")
        tab.fill("input[name=password]", "a-secret")
        tab.press("input[name=password]", "Enter")
        expect(tab.locator("#dags")).to_be_visible()
        tab.goto(f"{url}/remember")
    kinds = sorted((cookie["name"].rpartition("_")[0], cookie["path"]) for cookie in context.cookies())
    assert kinds == [(f"airflow_{kind}", path) for kind in ("remember", "session") for path in (FIRST, SECOND)]
    # As when the browser was closed: each is remembered by its own cookie.
    context.clear_cookies(name=re.compile("airflow_session_"))
    for url, tab in tabs.items():
        tab.goto(f"{url}/admin/pool/")
        expect(tab.get_by_text("default_pool")).to_be_visible()
    tabs[urls[1]].goto(f"{urls[1]}/admin/airflow/logout")
    for tab in tabs.values():
        tab.reload()
    shown = [tab.goto(f"{url}/admin/pool/") for url, tab in tabs.items()]
    assert [answer and answer.status for answer in shown] == [200, 403]
    assert [cookie["path"] for cookie in context.cookies() if "remember" in cookie["name"]] == [FIRST]
    context.close()
