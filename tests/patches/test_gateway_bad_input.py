"""Whatever is wrong with an assertion, nobody gets in, and one line of the log says which check failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow_process import patched
from harness.assertions import Gateway, service_settings
from harness.bad_assertions import CASES, Bad
from www_client import ask

# Addresses by which somebody without an assertion might get at something; as the server hands them on.
PATHS = [
    "/", "/admin/", "/admin/..;/health", "/health/../admin/", "/health/..%2fadmin", "/%2e%2e/health",
    "//admin/", "/./admin/", "/./health", "/health/", "/health;a=1", "/health.", "/HEALTH", "/Health", "/health%00",
    "/health\0", "/health ", "/static/../admin/", "/static/..%2f..%2fadmin/", "/static/%2e%2e/admin/", "/static//",
    "/static", "/own-static/../admin/", "/admin/static/../connection/", "/admin/static", "/admin/.", "/admin/pool/.",
    "/admin/POOL/", "/admin/pool/%2e", "/api/experimental/test", "/api/experimental/pools", "/api/../health",
    "/admin/airflow/login", "/admin/airflow/logout", "/none", "/a/../admin/", "/\xff\xfe", "/admin/log/?a=/health",
]  # fmt: skip
# Requests that differ in something else than the assertion.
OTHERS: dict[str, dict[str, Any]] = {
    **{f"method {name}": {"REQUEST_METHOD": name} for name in (
        "HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "X", "CONNECT")},
    **{f"{name} as an override": {name: "GET", "REQUEST_METHOD": "POST"} for name in (
        "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE")},
    **{f"{name} for the path": {name: "/health"} for name in (
        "HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL", "HTTP_X_ORIGINAL_URI", "HTTP_X_FORWARDED_URI")},
    **{f"{name} for the user": {name: "admin"} for name in (
        "REMOTE_USER", "HTTP_REMOTE_USER", "HTTP_X_REMOTE_USER", "HTTP_X_FORWARDED_USER", "HTTP_X_AUTH_REQUEST_USER")},
    "the password of nobody": {"HTTP_AUTHORIZATION": "Basic YWRtaW46YWRtaW4="},
}  # fmt: skip


@pytest.fixture(scope="module")
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture(scope="module")
def told(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path,
    database_template: Path,
) -> dict[str, Any]:  # fmt: skip
    """What one webserver answers to each request of this module, with the lines that it logs."""
    airflow = patched(tmp_path_factory.mktemp("gateway") / "home", airflow_tree, airflow_interpreter)
    (airflow.home / "airflow.db").write_bytes(database_template.read_bytes())
    good = gateway.sign(role="admin")
    requests = {f"assertion {case.name}": {"HTTP_X_AIRFLOW_ASSERTION": case.make(gateway)} for case in CASES}
    requests |= {f"path {path}": {"PATH_INFO": path} for path in PATHS}
    requests |= OTHERS
    requests |= {f"a good one, as {name}": {name: good} for name in (
        "HTTP_AUTHORIZATION", "HTTP_X_AIRFLOW_ASSERTION_", "HTTP__X_AIRFLOW_ASSERTION", "HTTP_AIRFLOW_ASSERTION",
        "X_AIRFLOW_ASSERTION", "HTTP_COOKIE", "QUERY_STRING")}  # fmt: skip
    requests |= {"a good one, in the body": {"REQUEST_METHOD": "POST", "body": f"X-Airflow-Assertion={good}"}}
    (airflow.home / "requests.json").write_text(json.dumps({**requests, "good": {"HTTP_X_AIRFLOW_ASSERTION": good}}))
    answers: dict[str, Any] = ask(
        airflow,
        """
app = web()
logging.disable(logging.NOTSET)
lines = []
class Kept(logging.Handler):
    def emit(self, record):
        lines.append((record.name, record.getMessage()))
logging.getLogger().handlers.insert(0, Kept())  # before those that colour a record
client = app.test_client(use_cookies=False)
def send(environ):
    environ = {name: value for name, value in environ.items() if value is not None}
    body = environ.pop("body", "")
    method = environ.setdefault("REQUEST_METHOD", "GET")
    del lines[:]
    response = client.open("/admin/", method=method, environ_overrides=environ, data=body)
    text = response.get_data(as_text=True)
    return {"status": response.status_code, "lines": list(lines), "headers": dict(response.headers), "text": text}
with open(settings.AIRFLOW_HOME + "/requests.json") as file:
    given = json.load(file)
good = given.pop("good")
answers = {name: send(environ) for name, environ in given.items()}
with create_session() as session:
    users = session.query(models.User).count(), session.query(models.Log).count()
answers["users"], answers["good"] = users, send(good)
with open(settings.AIRFLOW_HOME + "/answers.json", "w") as file:
    json.dump(answers, file)
answer({})
""",
        **service_settings(gateway.publish(airflow.home / "keys.json")),
    )
    answers = json.loads((airflow.home / "answers.json").read_text())
    return {**answers, "requests": requests}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_assertions_let_nobody_in(told: dict[str, Any], case: Bad) -> None:
    """401, or 403 for a role that is none; one line that names the check, and holds nothing of the assertion."""
    answer, given = told[f"assertion {case.name}"], told["requests"][f"assertion {case.name}"]
    checks = case.check.split("|")
    assert answer["status"] == (403 if "role" in checks else 401)
    ((logger, line),) = answer["lines"]
    assert logger == "airflow_service.gateway.gate"
    assert any(f": {check}: " in line for check in checks), line
    assert "\n" not in line
    assert len(line) < 500
    for part in (given["HTTP_X_AIRFLOW_ASSERTION"] or "").split("."):
        assert len(part) < 20 or part not in line + answer["text"]


def test_requests_without_an_assertion_reach_nothing(told: dict[str, Any]) -> None:
    """Neither by tricks with the path and the method, nor by headers that elsewhere name a user."""
    names = [*OTHERS, *(f"path {path}" for path in PATHS), *(name for name in told if name.startswith("a good one"))]
    assert len(names) > 60
    refused = {name: told[name]["status"] for name in names if told[name]["status"] == 401}
    assert {name: len(told[name]["lines"]) for name in refused if len(told[name]["lines"]) != 1} == {}
    # Below the folders of public files there is no file of such a name.
    others = {name: told[name]["status"] for name in names if name not in refused}
    assert set(others.values()) == {404}
    assert all(name.startswith(("path /static/", "path /own-static/")) for name in others)


def test_bad_input_leaves_no_trace(told: dict[str, Any]) -> None:
    """No user, nothing in the audit log; and a good assertion is let in after all that."""
    assert told["users"] == [0, 0]
    assert told["good"]["status"] == 200


def test_refusals_are_kept_by_nobody(told: dict[str, Any]) -> None:
    """Every answer says that it is not to be stored and what is missing, and sets no cookie."""
    for name, answer in told.items():
        if isinstance(answer, dict) and answer.get("status") in (401, 403):
            headers = answer["headers"]
            assert headers["Cache-Control"] == "no-store", name
            assert "Set-Cookie" not in headers, name
            assert ("WWW-Authenticate" in headers) == (answer["status"] == 401), name
