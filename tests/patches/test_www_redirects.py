"""Redirects whose target the request names: origin, url, next, Referer."""

from __future__ import annotations

import json

import pytest
from airflow_process import PatchedAirflow
from harness.urls import EVIL, FOREIGN, GOOD
from www_client import ask

HOST, PREFIX = "host.example", "/airflow-1"
BASE_URL = {"AIRFLOW__WEBSERVER__BASE_URL": f"https://{HOST}{PREFIX}"}


def _filled(target: str) -> str:
    return target.replace("{host}", HOST).replace("{prefix}", PREFIX).replace("{origin}", f"https://{HOST}")


BAD = [_filled(target) for target in (*EVIL, *FOREIGN)]
OWN = {_filled(target): _filled(path) for target, path in GOOD.items()}
_TARGETS = f"bad, own = json.loads({json.dumps([BAD, list(OWN)])!r})\n"
INDEX = f"{PREFIX}/admin/"


def test_views_redirect_below_the_prefix_only(airflow_db: PatchedAirflow) -> None:
    """origin and the Referer: what leads elsewhere leads to the index, what is ours leads there."""
    origins, owns, referers = ask(
        airflow_db,
        _TARGETS
        + """
client = web(WTF_CSRF_ENABLED=False).test_client()
def triggered(origin):
    return client.post("/admin/airflow/trigger", data={"dag_id": "none", "origin": origin}).headers["Location"]
def refreshed(referer):
    headers = {"Referer": referer} if referer else {}
    return client.post("/admin/airflow/refresh?dag_id=none", headers=headers).headers["Location"]
sendable = [one for one in bad if one.isascii() and not re.search("[\\r\\n\\0]", one)]
own_page = "https://host.example/airflow-1/admin/airflow/graph?dag_id=a"
referers = {one: refreshed(one) for one in [*sendable, "", own_page]}
answer([{one: triggered(one) for one in ["", *bad]}, {one: triggered(one) for one in own}, referers])
""",
        **BASE_URL,
    )
    assert {bad: location for bad, location in origins.items() if location != INDEX} == {}
    assert owns == OWN
    assert referers.pop(f"https://{HOST}{PREFIX}/admin/airflow/graph?dag_id=a") == (
        f"{PREFIX}/admin/airflow/graph?dag_id=a"
    )
    assert len(referers) > 40
    assert {bad: location for bad, location in referers.items() if location != INDEX} == {}


def test_trigger_page_shows_a_safe_origin(airflow_db: PatchedAirflow) -> None:
    """An origin with a quote in it ends no string of the page's script (CVE-2021-45229)."""
    page = ask(
        airflow_db,
        """
origin = "/airflow-1/admin/?a=';alert(1)//"
client = web().test_client()
answer(client.get("/admin/airflow/trigger", query_string={"dag_id": "none", "origin": origin}).get_data(as_text=True))
""",
        **BASE_URL,
    )
    assert "/airflow-1/admin/?a=%27%3Balert%281%29//" in page
    assert "alert(1)" not in page


def test_flask_admin_returns_below_the_prefix_only(airflow_db: PatchedAirflow) -> None:
    """Its parameter `url`: after saving, in the links of a form, and after an action."""
    saved, owns, page = ask(
        airflow_db,
        _TARGETS
        + """
client = web(WTF_CSRF_ENABLED=False).test_client()
def saved(target, number=[0]):
    number[0] += 1
    fields = {"pool": "p%d" % number[0], "slots": "1"}
    done = client.post("/admin/pool/new/", query_string={"url": target}, data=fields)
    assert done.status_code == 302, done.get_data(as_text=True)
    return done.headers["Location"]
page = client.get("/admin/pool/new/", query_string={"url": "//evil.example"}).get_data(as_text=True)
answer([{one: saved(one) for one in ["", *bad]}, {one: saved(one) for one in own}, page])
""",
        **BASE_URL,
    )
    assert {bad: location for bad, location in saved.items() if location != f"{PREFIX}/admin/pool/"} == {}
    for target, location in owns.items():
        assert location.startswith(f"{PREFIX}/"), (target, location)
    assert "evil.example" not in page


_ANN = """
from airflow.contrib.auth.backends.password_auth import PasswordUser
with create_session() as session:
    user = PasswordUser(models.User())
    user.username, user.email, user.superuser = "ann", "ann@x", True
    session.add(user)
# bcrypt takes its time, and here it would be a hundred times.
PasswordUser.authenticate = lambda self, plaintext: True
"""
# The release's own user has no get_id, without which Flask-Login lets nobody in: the place for a site's copy.
_NOBODY = """
from airflow import default_login
default_login.DefaultUser.get_id = lambda self: "1"
"""


@pytest.mark.parametrize(
    ("backend", "users"),
    [("airflow.contrib.auth.backends.password_auth", _ANN), ("airflow.default_login", _NOBODY)],
)
def test_login_leads_below_the_prefix_only(airflow_db: PatchedAirflow, backend: str, users: str) -> None:
    """`next` of a login that succeeds, and the `next` that the login page is asked with."""
    bad, own, asked = ask(
        airflow_db,
        users
        + _TARGETS
        + """
app = web(WTF_CSRF_ENABLED=False)
def login(target):
    return app.test_client().post("/admin/airflow/login", query_string={"next": target},
                                  data={"username": "ann", "password": "x"}).headers["Location"]
asked = app.test_client().get("/admin/?page=1").headers["Location"]
answer([{one: login(one) for one in ["", *bad]}, {one: login(one) for one in own}, asked])
""",
        AIRFLOW__WEBSERVER__AUTHENTICATE="True",
        AIRFLOW__WEBSERVER__AUTH_BACKEND=backend,
        **BASE_URL,
    )
    assert {target: location for target, location in bad.items() if location != INDEX} == {}
    assert own == OWN
    assert asked == f"{PREFIX}/admin/airflow/login?next=%2Fairflow-1%2Fadmin%2F%3Fpage%3D1"
