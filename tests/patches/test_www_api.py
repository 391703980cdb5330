"""The experimental API and its two clients."""

from __future__ import annotations

from airflow_process import PatchedAirflow
from www_client import RUN_DAG, ask, write_dag

_OPEN = {"AIRFLOW__API__AUTH_BACKEND": "airflow.api.auth.backend.default"}


def test_endpoints_answer_json(airflow_db: PatchedAirflow) -> None:
    """What is there is told, and what is not is a 404 (a 400 where the release had one) with a reason."""
    write_dag(airflow_db)
    found, errors, made = ask(
        airflow_db,
        RUN_DAG
        + """
client = web().test_client()
api = "/api/experimental/"
when = "2026-01-01T00:00:00%2B00:00"
def get(path):
    response = client.get(api + path)
    return [response.status_code, response.get_json(silent=True) or response.get_data(as_text=True)]
found = {path: get(path) for path in (
    "test", "dags/pair/dag_runs", "dags/pair/dag_runs?state=success", "dags/pair/code", "dags/pair/tasks/first",
    "dags/pair/paused", "dags/pair/dag_runs/" + when,
    "dags/pair/dag_runs/" + when + "/tasks/first", "latest_runs", "pools", "pools/default_pool")}
errors = {path: get(path) for path in (
    "dags/none/dag_runs", "dags/none/code", "dags/pair/tasks/none", "dags/pair/dag_runs/garbage", "pools/none",
    "dags/pair/dag_runs/" + when + "/tasks/none")}
def send(method, path, **data):
    response = client.open(api + path, method=method, json=data)
    return [response.status_code, response.get_json()]
made = [send("POST", "dags/pair/dag_runs", conf={"a": 1}, execution_date="2026-02-01T00:00:00"),
        send("POST", "dags/pair/dag_runs", execution_date="garbage"), send("POST", "dags/none/dag_runs"),
        send("POST", "pools", name="p", slots=2, description="d"), send("DELETE", "pools/p"),
        send("DELETE", "dags/none"), send("POST", "dags/pair/paused/true")]
answer([found, errors, made])
""",
        **_OPEN,
    )
    assert {path: status for path, (status, _) in found.items() if status != 200} == {}
    assert found["dags/pair/dag_runs/2026-01-01T00:00:00%2B00:00/tasks/first"][1]["state"] == "success"
    statuses = {path: status for path, (status, _) in errors.items()}
    assert set(statuses.values()) == {400, 404}
    assert all("error" in body for _, body in errors.values())
    assert [status for status, _ in made] == [200, 400, 404, 200, 200, 404, 200]


def test_default_backend_denies_all(airflow_db: PatchedAirflow) -> None:
    """As it is configured out of the box, the API lets nobody in."""
    status = ask(airflow_db, 'answer(web().test_client().get("/api/experimental/test").status_code)')
    assert status == 403


def test_both_clients_trigger_a_dag(airflow_db: PatchedAirflow) -> None:
    """The local client, and the JSON client over HTTP, whose errors are told as they came."""
    write_dag(airflow_db)
    local, remote, pool, error = ask(
        airflow_db,
        RUN_DAG
        + """
import threading
from werkzeug.serving import make_server
from airflow.api.client.json_client import Client as Remote
from airflow.api.client.local_client import Client as Local
server = make_server("127.0.0.1", 0, web())
threading.Thread(target=server.serve_forever, daemon=True).start()
local = Local(None, None)
remote = Remote("http://127.0.0.1:%d" % server.server_port, None)
try:
    remote.trigger_dag("none")
except IOError as error:
    told = str(error)
answer([local.trigger_dag("pair", run_id="l"),
        remote.trigger_dag("pair", run_id="r", execution_date="2026-03-01T00:00:00"),
        remote.create_pool("p", 2, "d"), told])
server.shutdown()
""",
        **_OPEN,
    )
    assert "Created" in local
    assert "Created" in remote
    assert pool == ["p", 2, "d"]
    assert "none" in error


def test_a_run_id_means_nothing_to_a_shell(airflow_db: PatchedAirflow) -> None:
    """By the API and the form of a DAG run: a command in it is refused, and an id of before may stay."""
    write_dag(airflow_db)
    api, form, made = ask(
        airflow_db,
        RUN_DAG
        + """
client = web().test_client()
def trigger(run_id):
    response = client.post("/api/experimental/dags/pair/dag_runs", json={
        "run_id": run_id, "execution_date": "2026-02-%02dT00:00:00" % (1 + len(api))})
    api.append([response.status_code, response.get_json().get("error", "")])
def write(path, run_id, when):
    answered = post(client, path, dag_id="pair", run_id=run_id, execution_date=when, state="running")
    form.append([answered.status_code, "A run id holds" in answered.get_data(as_text=True)])
api, form = [], []
for run_id in ("a; id", "$(id)", "a\\n", "`id`", "<b>", "a/b", "a b", "\u00e9", 1, ["a"], {"a": 1}):
    trigger(run_id)
for run_id in ("manual__2026-01-01T00:00:00.1+00:00", "a.b_~-", None, ""):
    trigger(run_id)
for run_id in ("a; id", "$(id)", "a b"):
    write("/admin/dagrun/new/", run_id, "2026-03-01 00:00:00")
write("/admin/dagrun/new/", "good", "2026-03-02 00:00:00")
with create_session() as session:
    row = session.query(models.DagRun).filter_by(run_id="good").one()
    edit = "/admin/dagrun/edit/?id=%d" % row.id
write(edit, "$(id)", "2026-03-02 00:00:00")
with create_session() as session:
    session.query(models.DagRun).filter_by(run_id="good").one().run_id = "by hand"
write(edit, "by hand", "2026-03-02 00:00:00")
with create_session() as session:
    answer([api, form, sorted(run.run_id for run in session.query(models.DagRun) if run.external_trigger)])
""",
        **_OPEN,
    )
    assert {status for status, _ in api[:11]} == {400}
    assert all("A-Z a-z 0-9 _ . ~ : + - only" in error for _, error in api[:11])
    assert [status for status, _ in api[11:]] == [200] * 4
    assert form == [[200, True]] * 3 + [[302, False], [200, True], [302, False]]
    assert len(made) == 4
