"""The webserver behind a gateway: who is let in, as whom, and what is left of a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow_process import PatchedAirflow, patched
from harness.assertions import Gateway, service_settings
from www_client import ask

GATEWAY = Gateway()


_PREAMBLE = """
from airflow.models import Log
from airflow_service.gateway import users as gateway_users
with open(settings.AIRFLOW_HOME + "/tokens.json") as file:
    tokens = json.load(file)
def as_(token, **more):
    return dict({"X-Airflow-Assertion": tokens.get(token, token)}, **more)
def users():
    with create_session() as session:
        return sorted([one.username, one.email, bool(one.superuser)] for one in session.query(models.User))
"""
_RUN = """
parts, answers = json.loads(parts_text), {}
for name, code in parts.items():
    exec(code, dict(globals(), answer=lambda value: answers.__setitem__(name, value)))
    with create_session() as session:
        session.query(models.User).delete()
        session.query(Log).delete()
    gateway_users._known.clear()
answer(answers)
"""


def behind_gateway(airflow: PatchedAirflow) -> dict[str, str]:
    """The settings of a webserver behind GATEWAY; assertions of its are left in tokens.json."""
    tokens = {
        "ann": GATEWAY.sign(), "admin": GATEWAY.sign(role="admin"), "viewer": GATEWAY.sign("EdDSA", role="viewer"),
        "bob": GATEWAY.sign("RS256", sub="bob"), "admin bob": GATEWAY.sign(sub="bob", role="admin", email="b@x"),
        "no role": GATEWAY.sign(role="guest"),
    }  # fmt: skip
    (airflow.home / "tokens.json").write_text(json.dumps(tokens))
    return service_settings(GATEWAY.publish(airflow.home / "keys.json"))


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path, database_template: Path
) -> dict[str, Any]:
    """What each part has answered."""
    airflow = patched(tmp_path_factory.mktemp("gateway") / "home", airflow_tree, airflow_interpreter)
    (airflow.home / "airflow.db").write_bytes(database_template.read_bytes())
    parts = f"parts_text = {json.dumps(_PARTS)!r}\n"
    told: dict[str, Any] = ask(airflow, _PREAMBLE + parts + _RUN, **behind_gateway(airflow))
    return told


# Run one after the other by one process; each is the part of the test of its name.
_PARTS: dict[str, str] = {}
_PARTS["what_needs_no_assertion"] = """
app = web()
app.add_url_rule("/plugin", "plugin", lambda: "a view without a decorator")
client = app.test_client()
def status(path, **environ):
    return client.get(path, environ_overrides=environ).status_code
paths = ["/", "/admin/", "/plugin", "/none", "/api/experimental/test", "/admin/airflow/login", "/health/", "/static"]
answer({
    "nobody": {path: status(path) for path in paths},
    "ann": {path: client.get(path, headers=as_("ann")).status_code for path in paths},
    "health": [status("/health"), status("/health", HTTP_X_FORWARDED_FOR="127.0.0.1"),
               status("/health", REMOTE_ADDR="10.0.0.9"),
               client.get("/health", headers=as_("ann"), environ_overrides={"REMOTE_ADDR": "10.0.0.9"}).status_code],
    "files": [status("/static/pin_32.png"), client.post("/static/pin_32.png").status_code],
    "no file": [[one.status_code, one.get_data(as_text=True)] for one in (
        client.get("/static/none"), client.get("/own-static/none.js", headers={"Accept": "text/html"}),
        client.head("/static/"), client.get("/static/%2e%2e/app.py"))],
    "through a proxy that is not trusted": [status("/health", REMOTE_ADDR="127.0.0.9", **{name: "10.0.0.9"})
        for name in ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_FORWARDED")]
        + [status("/health", REMOTE_ADDR="127.0.0.9")],
    "users": users(),
})
"""
_PARTS["a_check_that_fails_lets_nobody_in"] = """
from airflow_service.gateway.identify import Identifier
def fails(self, given):
    raise RuntimeError("with " + given)
told, real = [], Identifier.identify
from airflow_service.gateway import gate
client = web().test_client()
gate.log.warning = lambda text, *given: told.append(text % given)
Identifier.identify = fails
try:
    statuses = [client.get(path, headers=as_("admin")).status_code for path in ("/admin/", "/api/experimental/test")]
finally:
    Identifier.identify = real
    del gate.log.warning
answer({"statuses": statuses, "told": told, "secret": tokens["admin"] in "".join(told)})
"""
_PARTS["users_and_what_they_did"] = """
from airflow.models import Log
app = web(WTF_CSRF_ENABLED=False)
client = app.test_client()
page = client.get("/admin/", headers=as_("ann")).get_data(as_text=True)
client.get("/admin/airflow/tree?dag_id=none", headers=as_("ann"))
client.get("/admin/airflow/tree?dag_id=none", headers=as_("admin"))
pool = {"name": "p", "slots": 1, "description": "d"}
made = client.post("/api/experimental/pools", json=pool, headers=as_("admin bob"))
client.get("/api/experimental/pools", headers=as_("bob"))
gone = client.delete("/api/experimental/pools/p", headers=as_("admin bob"))
variable = {"key": "k", "val": "s3cret"}
forms = [client.post("/admin/variable/new/", data=variable, headers=as_(who)).status_code
         for who in ("viewer", "admin bob")]
forms += [client.post("/admin/dagrun/action/?dag_id=" + "d" * 300, data={"action": "none", "rowid": "1"},
                      headers=as_("bob")).status_code]
client.post("/admin/airflow/refresh?dag_id=none", headers=as_("bob"))
with create_session() as session:
    rows = session.query(Log).order_by(Log.id)
    logs = [[one.event, one.owner, one.extra] for one in rows if one.owner != "anonymous"]
    cut = max(len(one.dag_id or "") for one in rows)
with create_session() as session:
    session.query(models.User).filter(models.User.username == "bob").delete()
answer({"page": page, "status": [made.status_code, gone.status_code, *forms], "cut": cut, "logs": logs,
        "users": users()})
"""
_PARTS["many_workers_see_somebody_first"] = """
from concurrent.futures import ThreadPoolExecutor
from airflow_service.gateway import users as module
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.roles import Role
def see(number):
    module._known.clear()
    return module.ensure_user(Identity("s%d" % (number % 5), Role.USER, "n", "e%d@x" % (number % 5)))
with ThreadPoolExecutor(8) as pool:
    ids = list(pool.map(see, range(100)))
made = [len(set(ids)), users()]
# Between the look and the insert, another worker's comes.
find, looks = module._row, []
def look(session, subject):
    looks.append(subject)
    if len(looks) == 1:
        with settings.engine.begin() as other:
            other.execute(models.User.__table__.insert().values(username=subject))
        return None
    return find(session, subject)
module._row = look
answer([made, [module.ensure_user(Identity("late", Role.USER, "n", None)) > 0, len(looks)]])
"""
_PARTS["the_role_is_that_of_the_request"] = """
from flask import session
from flask_login import current_user
from flask_login.utils import encode_cookie
from airflow_service.gateway.access import access_of
from airflow_service.gateway.roles import Role
app = web()
app.add_url_rule("/who", "who", lambda: "%s %s %s" % (
    current_user.username, current_user.is_superuser(), current_user.data_profiling()))
app.add_url_rule("/put", "put", lambda: session.update(kept="secret") or "put")
app.add_url_rule("/kept", "kept", lambda: session.get("kept", "nothing"))
for endpoint in ("who", "put", "kept"):
    access_of(app).endpoints[endpoint] = {"GET": Role.VIEWER}
client = app.test_client()
def text(path, who):
    return client.get(path, headers=as_(who)).get_data(as_text=True)
pools = [client.get("/admin/pool/", headers=as_(who)).status_code for who in ("admin", "ann", "viewer", "admin")]
text("/put", "admin")
kept = [text("/kept", "admin"), text("/kept", "ann"), text("/kept", "admin")]
text("/put", "ann")
kept += [text("/kept", "bob")]
text("/put", "ann")
nobody = client.get("/kept").status_code
kept += [text("/kept", "ann")]
with client.session_transaction() as forged:
    forged.update(_user_id="1", _fresh=True, kept="forged", gateway_identity="admin:ann@example.com")
with app.app_context():
    client.set_cookie(app.config["REMEMBER_COOKIE_NAME"], encode_cookie("1"))
with create_session() as db:
    db.query(models.User).update({"superuser": True})
who = [client.get("/who").status_code, text("/who", "ann"), text("/who", "admin"), text("/who", "bob")]
answer({"pools": pools, "kept": kept, "nobody": nobody, "who": who})
"""
_PARTS["a_form_of_before_a_demotion_is_worth_nothing"] = """
app = web()
client = app.test_client()
def token(who):
    page = client.get("/admin/pool/new/", headers=as_(who)).get_data(as_text=True)
    return re.search(r'csrf_token" (?:type="hidden" )?value="([^"]+)"', page).group(1)
def send(who, value):
    fields = {"dag_id": "none", "origin": "/admin/", "csrf_token": value}
    return client.post("/admin/airflow/refresh?dag_id=none", data=fields, headers=as_(who)).status_code
made = token("admin")
answer([send("admin", made), send("ann", made), send("admin", made), send("admin", token("admin"))])
"""
_PARTS["how_it_is_said"] = """
client = web().test_client()
browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
def get(path, **headers):
    response = client.get(path, headers=headers)
    return [response.status_code, response.mimetype, response.headers.get("WWW-Authenticate"),
            response.headers.get("Content-Security-Policy"), response.get_data(as_text=True)]
answer({"browser": get("/admin/", **browser), "api": get("/api/experimental/test", **browser), "curl": get("/admin/"),
        "script": get("/admin/", **browser, **{"X-Requested-With": "XMLHttpRequest"}),
        "forged": get("/admin/", **browser, **as_("a.b.c")),
        "no role": get("/admin/", **browser, **as_(tokens["no role"]))})
"""


def test_what_needs_no_assertion(answers: dict[str, Any]) -> None:
    """/health for the machine itself, and the wheel's own files; nothing else, whether there is a view or not."""
    told = answers["what_needs_no_assertion"]
    assert set(told["nobody"].values()) == {401}
    # A view that says nothing of roles is for admins.
    assert told["ann"] == {
        "/": 302, "/admin/": 200, "/plugin": 403, "/none": 404, "/api/experimental/test": 200,
        "/admin/airflow/login": 302, "/health/": 404, "/static": 404,
    }  # fmt: skip
    assert told["health"] == [200, 401, 401, 200]
    assert told["files"] == [200, 401]
    # In particular not the release's page for it, which names the host.
    assert told["no file"] == [[404, "Not Found\n"], [404, "Not Found\n"], [401, ""], [404, "Not Found\n"]]
    assert told["through a proxy that is not trusted"] == [401, 401, 401, 401, 200]
    assert told["users"] == [["ann@example.com", None, False]]


def test_a_check_that_fails_lets_nobody_in(answers: dict[str, Any]) -> None:
    """An exception that nobody thought of is a 401, and one line without what the assertion holds."""
    told = answers["a_check_that_fails_lets_nobody_in"]
    assert told["statuses"] == [401, 401]
    assert not told["secret"]
    assert len(told["told"]) == 2
    assert all("form: the check itself failed (RuntimeError)" in line for line in told["told"])


def test_users_and_what_they_did(answers: dict[str, Any]) -> None:
    """A row for each subject, with no role in it; the audit log names who did what, in pages and in the API."""
    told = answers["users_and_what_they_did"]
    assert 'title="ann@example.com"' in told["page"]
    assert told["status"] == [200, 200, 403, 302, 302]
    assert [[event, owner] for event, owner, _ in told["logs"]] == [
        ["tree", "ann@example.com"], ["tree", "ann@example.com"],
        ["api_experimental.create_pool", "bob"], ["api_experimental.delete_pool", "bob"],
        ["variable.create_view", "bob"], ["dagrun.action_view", "bob"], ["refresh", "bob"],
    ]  # fmt: skip
    assert [extra for _, _, extra in told["logs"][3:-1]] == [
        "DELETE /api/experimental/pools/p", "POST /admin/variable/new/", "POST /admin/dagrun/action/",
    ]  # fmt: skip
    assert told["cut"] == 250
    assert told["users"] == [["ann@example.com", None, False]]


def test_many_workers_see_somebody_first(answers: dict[str, Any]) -> None:
    """One row comes of it, whoever is first, and nobody gets an error."""
    made, late = answers["many_workers_see_somebody_first"]
    assert made == [5, [[f"s{number}", f"e{number}@x", False] for number in range(5)]]
    assert late == [True, 2]


def test_the_role_is_that_of_the_request(answers: dict[str, Any]) -> None:
    """Neither a session, nor a cookie that remembers a login, nor the table says who or what somebody is."""
    told = answers["the_role_is_that_of_the_request"]
    assert told["pools"] == [200, 403, 403, 200]
    assert told["kept"] == ["secret", "nothing", "nothing", "nothing", "secret"]
    assert told["nobody"] == 401
    assert told["who"] == [401, "ann@example.com False False", "ann@example.com True True", "bob False False"]


def test_a_form_of_before_a_demotion_is_worth_nothing(answers: dict[str, Any]) -> None:
    """The token of its page is the session's, which ends with the role."""
    answers = answers["a_form_of_before_a_demotion_is_worth_nothing"]
    assert answers == [302, 400, 400, 302]


def test_owners_see_their_own(airflow_db: PatchedAirflow) -> None:
    """filter_by_owner goes by the subject; an admin sees all."""
    seen = ask(
        airflow_db,
        _PREAMBLE
        +        """
app = web()
with create_session() as session:
    for owner in ("ann@example.com", "bob", "eve"):
        session.add(models.DagModel(dag_id="of_" + owner[:3], owners=owner, is_active=True, is_paused=False,
                                    fileloc="/dev/null"))
def listed(who):
    page = app.test_client().get("/admin/", headers=as_(who)).get_data(as_text=True)
    return sorted(set(re.findall("of_(?:ann|bob|eve)", page)))
answer([listed("ann"), listed("bob"), listed("viewer"), listed("admin")])
""",
        **behind_gateway(airflow_db),
        AIRFLOW__WEBSERVER__FILTER_BY_OWNER="True",
    )
    assert seen == [["of_ann"], ["of_bob"], ["of_ann"], ["of_ann", "of_bob", "of_eve"]]


def test_how_it_is_said(answers: dict[str, Any]) -> None:
    """A page with the styles of the others for a browser, JSON for the API and for scripts; no form, no redirect."""
    told = answers["how_it_is_said"]
    status, kind, challenge, policy, page = told["browser"]
    assert (status, kind, challenge) == (401, "text/html", 'Bearer realm="Airflow"')
    assert "default-src" in policy
    assert "bootstrap" in page
    assert "Not logged in" in page
    assert "<form" not in page
    assert "<script" not in page
    for name in ("api", "curl", "script"):
        assert told[name][:2] == [401, "application/json"]
        assert json.loads(told[name][4]).keys() == {"error"}
    assert told["forged"][2] == 'Bearer realm="Airflow", error="invalid_token"'
    assert told["no role"][:3] == [403, "text/html", None]
    assert "Not allowed" in told["no role"][4]
