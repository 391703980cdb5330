"""Who is let in, with Flask-Login 0.6, bcrypt 5 and Flask 3."""

from __future__ import annotations

import pytest
from airflow_process import PatchedAirflow
from www_client import ask

_BY_PASSWORD = {
    "AIRFLOW__WEBSERVER__AUTHENTICATE": "True",
    "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow.contrib.auth.backends.password_auth",
    "AIRFLOW__API__AUTH_BACKEND": "airflow.contrib.auth.backends.password_auth",
}
_USERS = """
import base64
from airflow.contrib.auth.backends.password_auth import PasswordUser
def add(name, password, superuser):
    with create_session() as session:
        user = PasswordUser(models.User())
        user.username, user.email, user.password, user.superuser = name, name + "@x", password, superuser
        session.add(user)
def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode((name + ":" + password).encode()).decode()}
def login(client, name, password):
    return post(client, "/admin/airflow/login?next=%2Fadmin%2Fpool%2F", page="/admin/airflow/login",
                username=name, password=password)
"""


def test_password_login_and_roles(airflow_db: PatchedAirflow) -> None:
    """Nothing is shown before the login; a superuser sees the Admin menu's pages, others do not."""
    before, wrong, right, seen, after = ask(
        airflow_db,
        _USERS
        + """
app = web()
add("ann", "a-secret", True)
add("bob", "b-secret", False)
client = app.test_client()
before = client.get("/admin/").headers["Location"]
wrong = login(client, "ann", "x").status_code
right = login(client, "ann", "a-secret").headers["Location"]
other = app.test_client()
login(other, "bob", "b-secret")
pages = ["/admin/", "/admin/pool/", "/admin/connection/", "/admin/taskinstance/"]
seen = [[each.get(page).status_code for page in pages] for each in (client, other)]
client.get("/admin/airflow/logout")
answer([before, wrong, right, seen, client.get("/admin/").status_code])
""",
        **_BY_PASSWORD,
    )
    assert before == "/admin/airflow/login?next=%2Fadmin%2F"
    assert (wrong, right, after) == (200, "/admin/pool/", 302)
    assert seen == [[200, 200, 200, 200], [200, 403, 403, 200]]


def test_long_passwords_are_taken(airflow_db: PatchedAirflow) -> None:
    """More than the 72 bytes that bcrypt reads neither fail nor lock out, at the page and in the API."""
    answers = ask(
        airflow_db,
        _USERS
        + """
app = web()
add("ann", "p\\u00e4" * 60, True)
client = app.test_client()
api = "/api/experimental/test"
answer([login(client, "ann", "x" * 200).status_code, login(client, "ann", "p\\u00e4" * 60).status_code,
        client.get(api).status_code, client.get(api, headers=basic("ann", "x" * 200)).status_code,
        client.get(api, headers=basic("ann", "p\\u00e4" * 60)).get_json()])
""",
        **_BY_PASSWORD,
    )
    assert answers == [200, 302, 401, 403, {"status": "OK"}]


@pytest.mark.parametrize("backend", ["google_auth", "github_enterprise_auth"])
def test_oauth_backends_say_what_to_do(airflow_db: PatchedAirflow, backend: str) -> None:
    """The webserver does not start, and says why and what to use instead."""
    done = airflow_db.python(
        "from airflow.www.app import create_app; create_app()",
        check=False,
        AIRFLOW__WEBSERVER__AUTHENTICATE="True",
        AIRFLOW__WEBSERVER__AUTH_BACKEND=f"airflow.contrib.auth.backends.{backend}",
    )
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "cannot run on Flask 3" in told
    assert "password_auth" in told


def test_kerberos_api_backend_answers_the_negotiation(airflow_db: PatchedAirflow) -> None:
    """A caller with a ticket is let in under its name and gets the server's token; others are not."""
    fakes = airflow_db.home / "fakes"
    fakes.mkdir()
    (fakes / "requests_kerberos.py").write_text(
        "class HTTPKerberosAuth:\n    def __init__(self, service): pass\n"
    )
    (fakes / "kerberos.py").write_text(
        """
AUTH_GSS_COMPLETE, AUTH_GSS_CONTINUE = 1, 0
class KrbError(Exception): pass
class GSSError(Exception): pass
def getServerPrincipalDetails(service, host): return service
def authGSSServerInit(service): return AUTH_GSS_COMPLETE, object()
def authGSSServerStep(state, token):
    if token != "ticket":
        raise GSSError
    return AUTH_GSS_COMPLETE
def authGSSServerResponse(state): return "answer"
def authGSSServerUserName(state): return "ann@REALM"
def authGSSServerClean(state): pass
"""
    )
    none, bad, good, token, user = ask(
        airflow_db,
        """
import flask
client = web().test_client()
api = "/api/experimental/test"
def send(ticket):
    return client.get(api, headers={"Authorization": "Negotiate " + ticket})
with client:
    good = send("ticket")
    user = flask.g.user
answer([client.get(api).headers["WWW-Authenticate"], send("forged").status_code, good.get_json(),
        good.headers["WWW-Authenticate"], user])
""",
        AIRFLOW__API__AUTH_BACKEND="airflow.api.auth.backend.kerberos_auth",
        AIRFLOW__KERBEROS__KEYTAB="none",
        PYTHONPATH=f"{airflow_db.tree}:{fakes}",
    )
    assert (none, bad, good) == ("Negotiate", 403, {"status": "OK"})
    assert (token, user) == ("negotiate answer", "ann@REALM")
