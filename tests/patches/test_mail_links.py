"""Links in mails, and the API's client: URLs that are made without a request."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from airflow_process import PatchedAirflow
from www_client import RUN_DAG, ask, write_dag

_MAIL = """
import html, os
from airflow.models import taskinstance
from werkzeug.test import Client
from airflow.www.app import cached_app
client = Client(cached_app({"WTF_CSRF_ENABLED": False, "PROPAGATE_EXCEPTIONS": True}))
logging.disable(logging.CRITICAL)
sent = []
taskinstance.send_email = lambda to, subject, text: sent.append(text)
ti = models.TaskInstance(dag.get_task("first"), day)
ti.task.email = "x@example.org"
def mailed():
    ti.email_alert(ValueError("made up"))
    return [html.unescape(link) for link in re.findall('href="([^"]*)"', sent.pop())]
"""
_BASE = "http://localhost/team/one"


def test_links_of_a_mail_lead_to_their_pages(airflow_db: PatchedAirflow) -> None:
    """Both links of the mail about a failure are asked for, as they stand in it; a slash more is no matter."""
    write_dag(airflow_db)
    links, with_slash, statuses, log, ask_first = ask(
        airflow_db,
        RUN_DAG
        + _MAIL
        + f"""
links = mailed()
os.environ["AIRFLOW__WEBSERVER__BASE_URL"] = "{_BASE}/"
with_slash = mailed()
answers = [client.get(link) for link in links]
answer([links, with_slash, [each.status_code for each in answers],
        *(each.get_data(as_text=True) for each in answers)])
""",
        AIRFLOW__WEBSERVER__BASE_URL=_BASE,
    )
    assert links == with_slash
    assert all(link.startswith(f"{_BASE}/admin/airflow/") for link in links)
    assert statuses == [200, 200]
    assert "Log by attempts" in log
    assert "Wait a minute." in ask_first


def test_mark_success_of_a_mail_asks_first(airflow_db: PatchedAirflow) -> None:
    """The link changes nothing, even with `confirmed` in its query; what its page posts does, and no more."""
    write_dag(airflow_db)
    first, shown, second, place, fields = ask(
        airflow_db,
        RUN_DAG
        + _MAIL
        + """
def state():
    with create_session() as session:
        return session.query(models.TaskInstance).filter_by(task_id="first").one().state
links = mailed()
run = dict(dag_id="pair", task_id="first", execution_date=day.isoformat())
client.post("/team/one/admin/airflow/failed", data=dict(run, confirmed="true"))
client.get(links[1] + "&confirmed=true")
first = state()
page = client.get(links[1] + "&success_past=true&success_downstream=true").get_data(as_text=True)
fields = {name: html.unescape(value) for name, value in
          re.findall('type="hidden" name="([^"]*)" value="([^"]*)"', page)}
done = client.post(links[1], data={**fields, "confirmed": "true"})
answer([first, page, state(), done.headers.get("Location"), sorted(fields)])
""",
        AIRFLOW__WEBSERVER__BASE_URL=_BASE,
    )
    assert first == "failed"
    assert "pair.first 2026-01-01T00:00:00+00:00" in shown
    assert second == "success"
    assert place.startswith("/")
    assert fields == ["dag_id", "execution_date", "task_id"]


def test_api_client_keeps_the_path_of_its_endpoint(airflow: PatchedAirflow) -> None:
    """`airflow` with the JSON client asks below the path of `[cli] endpoint_url`."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            pool = {"pool": "p", "slots": 1, "description": ""}
            body = json.dumps([pool] if self.path.endswith("pools") else pool).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/team/one"
        done = airflow.python(
            "from airflow.api.client.json_client import Client\n"
            f"for base in ({base!r}, {base + '/'!r}):\n"
            "    client = Client(api_base_url=base, auth=None)\n"
            "    print(client.get_pools(), client.get_pool('a b?'))"
        )
        server.shutdown()
    assert asked == ["/team/one/api/experimental/pools", "/team/one/api/experimental/pools/a%20b%3F"] * 2
    assert re.findall(r"'p', 1", done.stdout) == ["'p', 1"] * 4
