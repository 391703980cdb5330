"""The webserver below the path of base_url: URLs, cookies, paths of its own."""

from __future__ import annotations

import re

import pytest
from airflow_process import PatchedAirflow
from www_client import ask

BASE_URL = {"AIRFLOW__WEBSERVER__BASE_URL": "https://host.example/airflow-1/"}

# Paths as the proxy may hand them on, with the headers that it may send.
_CLIENT = """
def client_of(app):
    # The application as gunicorn gets it, by a client that knows nothing of its prefix.
    from werkzeug.test import Client
    client = Client(app)
    return lambda path, **more: client.get(path, base_url="http://127.0.0.1:8080/",
                                          environ_overrides={"REMOTE_ADDR": "127.0.0.1"}, **more)
"""


def test_urls_have_the_prefix_however_it_comes(airflow_db: PatchedAirflow) -> None:
    """Passed on, stripped, told of; the same page, with links and redirects below the prefix only."""
    pages, redirects, outside, refused = ask(
        airflow_db,
        _CLIENT
        + """
from airflow.www.app import cached_app
app = cached_app()
app.config["PROPAGATE_EXCEPTIONS"] = True
get = client_of(app)
told = {"X-Forwarded-Prefix": "/airflow-1"}
ways = [("/airflow-1", {}), ("", {}), ("", told)]
pages = [get(way + "/admin/", headers=headers).get_data(as_text=True) for way, headers in ways]
# Flask-Admin adds a slash by a redirect of Werkzeug's, which names the host.
redirects = [[get(way + path, headers={"Host": "evil.example", **headers}).headers["Location"]
              for path in ("/", "", "/admin")] for way, headers in ways]
from flask import url_for
with app.app_context():
    outside = [url_for("admin.index"), url_for("pool.index_view", page=1)]
refused = [get("/admin/", headers={"X-Forwarded-Prefix": "/other"}).status_code,
           get("/airflow-1x/admin/").status_code]
answer([pages, redirects, outside, refused])
""",
        **BASE_URL,
    )
    for page in pages:
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
        assert len(links) > 20
        below = [
            link for link in links if link.startswith("/airflow-1/") and "/airflow-1/airflow-1" not in link
        ]
        assert "/airflow-1/admin/pool/" in below
        # Those that are written by hand are other patches' matter.
        assert len(below) >= 0.8 * len(links)
    assert redirects == [["/airflow-1/admin/", "/airflow-1/admin/", "/airflow-1/admin/"]] * 3
    assert outside == [
        "https://host.example/airflow-1/admin/",
        "https://host.example/airflow-1/admin/pool/?page=1",
    ]
    assert refused == [400, 404]


def test_without_a_prefix_nothing_changes(airflow_db: PatchedAirflow) -> None:
    """The default base_url: pages at the root, for whatever name the host is asked by."""
    redirects, status = ask(
        airflow_db,
        _CLIENT
        + """
get = client_of(web())
redirects = [get(path, headers={"Host": "machine.example:8080"}).headers["Location"] for path in ("/", "/admin")]
answer([redirects, get("/health").status_code])
""",
    )
    assert redirects == ["/admin/", "/admin/"]
    assert status == 200


@pytest.mark.parametrize(
    "settings", [BASE_URL, {**BASE_URL, "AIRFLOW__WEBSERVER__COOKIE_SAMESITE": "Strict"}]
)
def test_cookies_are_the_clusters_own(airflow_db: PatchedAirflow, settings: dict[str, str]) -> None:
    """Both cookies carry name, path and attributes; the remembered login works by its name."""
    session, remember, again = ask(
        airflow_db,
        """
import flask_login
from airflow.contrib.auth.backends.password_auth import PasswordUser
with create_session() as session:
    user = PasswordUser(models.User())
    user.username, user.email, user.password, user.superuser = "ann", "ann@x", "a-secret", True
    session.add(user)
app = web()
remembering = flask_login.login_user
flask_login.login_user = lambda user: remembering(user, remember=True)
client = app.test_client()
fields = {"username": "ann", "password": "a-secret", "csrf_token": csrf(client)}
# Below https a form without a Referer is refused.
done = client.post("/admin/airflow/login", data=fields, headers={"Referer": "https://host.example/airflow-1/"})
told = {cookie.split("=")[0]: cookie for cookie in done.headers.getlist("Set-Cookie")}
client.delete_cookie("airflow_session_eu-1", path="/airflow-1", domain="host.example")
answer([told["airflow_session_eu-1"], told["airflow_remember_eu-1"], client.get("/admin/").status_code])
""",
        AIRFLOW__WEBSERVER__AUTHENTICATE="True",
        AIRFLOW__WEBSERVER__AUTH_BACKEND="airflow.contrib.auth.backends.password_auth",
        AIRFLOW__SERVICE__CLUSTER_ID="eu-1",
        **settings,
    )
    same_site = settings.get("AIRFLOW__WEBSERVER__COOKIE_SAMESITE", "Lax")
    for cookie in (session, remember):
        attributes = cookie.split("; ")[1:]
        assert {"Secure", "HttpOnly", "Path=/airflow-1", f"SameSite={same_site}"} <= set(attributes)
        assert not any(attribute.startswith("Domain") for attribute in attributes)
    assert again == 200


def test_own_paths_are_all_known(airflow_db: PatchedAirflow) -> None:
    """Every rule of the application lies below a path that no prefix may overlap."""
    rules, own = ask(
        airflow_db,
        """
from airflow_service.base_url import OWN_PATHS
answer([sorted({rule.rule for rule in web().url_map.iter_rules()}), OWN_PATHS])
""",
    )
    assert len(rules) > 100
    assert [
        rule for rule in rules if rule != "/" and not f"{rule}/".startswith(tuple(f"{o}/" for o in own))
    ] == []


@pytest.mark.parametrize(
    "base_url",
    ["host/airflow", "https://host/a?b=c", "https://host//a", "https://host/admin", "https://u:pw@host/"],
)
def test_a_wrong_base_url_stops_the_start(airflow: PatchedAirflow, base_url: str) -> None:
    """Exit code 78 with a message, before anything is begun."""
    done = airflow.command("webserver", check=False, AIRFLOW__WEBSERVER__BASE_URL=base_url)
    assert done.returncode == 78, done.stderr
    assert "[webserver] base_url = " in done.stderr
    assert "Traceback" not in done.stderr
    assert ":pw@" not in done.stderr
