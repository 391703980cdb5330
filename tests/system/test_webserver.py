"""The webserver as it is run: gunicorn, the UI's pages and the experimental API over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from harness.processes import Running
from harness.runs import stop_in_order
from harness.site import NewSite, Site, complaints

pytestmark = [pytest.mark.slow]

API = "/api/experimental"
RUN = "dag_id=everyday&execution_date=2024-01-01T00%3A00%3A00%2B00%3A00"


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Site:
    """SQLite, with a run that a backfill made."""
    made = new_site("webserver", AIRFLOW__API__AUTH_BACKEND="airflow.api.auth.backend.default")
    made.run("initdb")
    done = made.run("backfill", "everyday", "--start_date", "2024-01-01", "--end_date", "2024-01-01")
    assert made.run_states("everyday") == ["success"]
    assert complaints(done.stdout, done.stderr) == []
    return made


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[tuple[str, Running]]:
    with site.webserver() as (url, process):
        yield url, process
        assert complaints(process.output) == []


def test_pages_show_the_run(server: tuple[str, Running]) -> None:
    """The index names the DAG, and the log page shows what a task wrote."""
    url, _ = server
    index = requests.get(f"{url}/", timeout=30)
    assert index.url == f"{url}/admin/"
    assert "everyday" in index.text
    page = requests.get(f"{url}/admin/airflow/log?{RUN}&task_id=python&format=json", timeout=30)
    assert page.ok
    log = requests.get(
        f"{url}/admin/airflow/get_logs_with_metadata?{RUN}&task_id=python&try_number=1&metadata=null",
        timeout=30,
    ).json()
    assert "the shell said 21" in str(log["message"])


def test_forms_are_protected_and_accepted(server: tuple[str, Running], site: Site) -> None:
    """A form without its token is refused; with it, a DAG is triggered."""
    url, _ = server
    with requests.Session() as session:
        page = session.get(f"{url}/admin/airflow/trigger?dag_id=faulty", timeout=30)
        refused = session.post(f"{url}/admin/airflow/trigger", data={"dag_id": "faulty"}, timeout=30)
        assert refused.status_code == 400
        token = re.search(r'name="_?csrf_token"[^>]*value="([^"]+)"', page.text)
        assert token
        done = session.post(
            f"{url}/admin/airflow/trigger",
            data={"dag_id": "faulty", "csrf_token": token[1], "_csrf_token": token[1], "conf": "{}"},
            timeout=30,
        )
        assert done.ok
    assert site.run_states("faulty") == ["running"]


def test_experimental_api(server: tuple[str, Running], site: Site) -> None:
    """DAGs are triggered, looked at and paused, pools made and deleted, over HTTP."""
    url, _ = server
    with requests.Session() as api:
        assert api.get(f"{url}{API}/test", timeout=30).json() == {"status": "OK"}
        made = api.post(
            f"{url}{API}/dags/everyday/dag_runs",
            json={"run_id": "by_api", "conf": {"key": 1}, "execution_date": "2024-05-01T00:00:00+00:00"},
            timeout=30,
        )
        assert made.status_code == 200, made.text
        runs = api.get(f"{url}{API}/dags/everyday/dag_runs", timeout=30).json()
        assert "by_api" in {run["run_id"] for run in runs}
        state = api.get(f"{url}{API}/dags/everyday/dag_runs/2024-05-01T00:00:00+00:00", timeout=30)
        assert state.json()["state"] == "running"
        task = api.get(
            f"{url}{API}/dags/everyday/dag_runs/2024-01-01T00:00:00+00:00/tasks/python", timeout=30
        ).json()
        assert task["state"] == "success"
        assert api.get(f"{url}{API}/dags/everyday/tasks/shell", timeout=30).json()["task_id"] == "shell"
        assert "BranchPythonOperator" in api.get(f"{url}{API}/dags/everyday/code", timeout=30).text
        latest = api.get(f"{url}{API}/latest_runs", timeout=30).json()["items"]
        assert "everyday" in {item["dag_id"] for item in latest}
        assert api.post(f"{url}{API}/dags/everyday/paused/true", timeout=30).ok
        assert api.get(f"{url}{API}/dags/everyday/paused", timeout=30).json()["is_paused"] is True
        assert api.post(f"{url}{API}/dags/everyday/paused/false", timeout=30).ok
        pool = {"name": "few", "slots": 3, "description": "a pool"}
        assert api.post(f"{url}{API}/pools", json=pool, timeout=30).status_code == 200
        assert api.get(f"{url}{API}/pools/few", timeout=30).json()["slots"] == 3
        assert {each["pool"] for each in api.get(f"{url}{API}/pools", timeout=30).json()} == {
            "default_pool",
            "few",
        }
        assert api.delete(f"{url}{API}/pools/few", timeout=30).ok
        assert api.get(f"{url}{API}/dags/none/dag_runs", timeout=30).status_code == 400
        assert api.get(f"{url}{API}/dags/none/tasks/shell", timeout=30).status_code == 404


def test_api_client_asks_the_server(server: tuple[str, Running], site: Site) -> None:
    """The command line works through the API when it is told to."""
    url, _ = server
    settings = {
        "AIRFLOW__CLI__API_CLIENT": "airflow.api.client.json_client",
        "AIRFLOW__CLI__ENDPOINT_URL": url,
    }
    remote = Site(site.interpreter, site.home, {**site.settings, **settings})
    done = remote.run("trigger_dag", "everyday", "--run_id", "by_client")
    assert "by_client" in {run_id for (run_id,) in site.query("SELECT run_id FROM dag_run")}
    assert complaints(done.stdout, done.stderr) == []


def test_term_ends_it_all(new_site: NewSite) -> None:
    """SIGTERM ends the webserver in order, gunicorn and its workers with it; the API is closed by default."""
    site = new_site("term")
    site.run("initdb")
    with site.webserver() as (url, process):
        assert requests.get(f"{url}{API}/test", timeout=30).status_code == 403
        assert len(process.descendants()) >= 3, "gunicorn's master and two workers"
        stop_in_order(process)
