"""The webserver behind a gateway: who is let in, as whom, and what is left of a session."""

from __future__ import annotations

import json
from typing import Any

from airflow_process import PatchedAirflow
from harness.assertions import Gateway, service_settings
from www_client import ask

GATEWAY = Gateway()


def behind_gateway(airflow: PatchedAirflow, code: str, **more: str) -> Any:
    """Ask a webserver behind GATEWAY; `tokens` holds assertions, `as_(token, **more)` headers."""
    keys = GATEWAY.publish(airflow.home / "keys.json")
    tokens = {
        "ann": GATEWAY.sign(), "admin": GATEWAY.sign(role="admin"), "viewer": GATEWAY.sign("EdDSA", role="viewer"),
        "bob": GATEWAY.sign("RS256", sub="bob"), "admin bob": GATEWAY.sign(sub="bob", role="admin", email="b@x"),
    }  # fmt: skip
    preamble = f"""
tokens = json.loads({json.dumps(json.dumps(tokens))})
def as_(token, **more):
    return dict({{"X-Airflow-Assertion": tokens.get(token, token)}}, **more)
def users():
    with create_session() as session:
        return sorted([one.username, one.email, bool(one.superuser)] for one in session.query(models.User))
"""
    return ask(airflow, preamble + code, **service_settings(keys, **more))


def test_what_needs_no_assertion(airflow_db: PatchedAirflow) -> None:
    """/health for the machine itself, and the wheel's own files; nothing else, whether there is a view or not."""
    told = behind_gateway(
        airflow_db,
        """
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
    "users": users(),
})
""",
    )
    assert set(told["nobody"].values()) == {401}
    # A view that says nothing of roles is for admins.
    assert told["ann"] == {
        "/": 302, "/admin/": 200, "/plugin": 403, "/none": 404, "/api/experimental/test": 200,
        "/admin/airflow/login": 302, "/health/": 404, "/static": 404,
    }  # fmt: skip
    assert told["health"] == [200, 401, 401, 200]
    assert told["files"] == [200, 401]
    assert told["users"] == [["ann@example.com", None, False]]
