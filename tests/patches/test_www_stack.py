"""The webserver on Flask 3, Werkzeug 3, Jinja2 3.1 and Flask-Caching 2."""

from __future__ import annotations

import stat

from airflow_process import PatchedAirflow
from www_client import ask

_COOKIE = """
response = web().test_client().get("/admin/")
answer([response.status_code, response.headers["Set-Cookie"]])
"""


def test_views_and_forms_are_imported(airflow_db: PatchedAirflow) -> None:
    """The index page and the SQL editor are shown, and what was typed is escaped once."""
    page, editor = ask(
        airflow_db,
        """
client = web().test_client()
page = client.get("/admin/").status_code
answer([page, post(client, "/admin/queryview/", sql="<b>&").get_data(as_text=True)])
""",
    )
    assert page == 200
    assert '<div id="sql" style="height:100px;">&lt;b&gt;&amp;</div>' in editor


def test_session_cookie_is_lax(airflow_db: PatchedAirflow) -> None:
    """Without a setting, other sites' forms are not sent with the session."""
    status, cookie = ask(airflow_db, _COOKIE)
    assert status == 200
    assert "SameSite=Lax" in cookie


def test_empty_samesite_is_lax(airflow_db: PatchedAirflow) -> None:
    """An airflow.cfg that the release wrote, with an empty value, stays valid, and switches no guard off."""
    status, cookie = ask(airflow_db, _COOKIE, AIRFLOW__WEBSERVER__COOKIE_SAMESITE="")
    assert status == 200
    assert "SameSite=Lax" in cookie


def test_cache_directory_is_private(airflow_db: PatchedAirflow) -> None:
    """Only the webserver's user can enter the cache, even where it was left open before."""
    cache = airflow_db.home / "webserver_cache"
    cache.mkdir(mode=0o777)
    directory = ask(
        airflow_db,
        """
from flask_caching import Cache
[backend] = web().extensions["cache"].values()
answer(backend._path)
""",
    )
    assert directory == str(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
