"""Which view of a DAG the links to it lead to, whatever is written where that is said."""

from __future__ import annotations

from airflow_process import PatchedAirflow
from www_client import DAG, ask

_VIEWS = """
from html import unescape
app = web()
models.DagBag().get_dag("pair").sync_to_db()
client = app.test_client()

def linked():
    page = client.get("/admin/")
    return page.status_code, re.search(r'href="/admin/airflow/([a-z_]+)[?]dag_id=pair"', page.get_data(as_text=True))[1]

def store(view):
    with create_session() as session:
        session.query(models.DagModel).filter_by(dag_id="pair").one().default_view = view

found = [linked()]
for stored in ("graph", "nonsense", "", "index", "clear", None):
    store(stored)
    found.append(linked())
pages = [client.get("/admin/airflow/%s?dag_id=pair" % name).status_code for name in ("graph", "tree")]
written = []
for wish in ("nonsense", "<script>", "gantt"):
    reply = client.post("/admin/dagmodel/ajax/update/", data={
        "list_form_pk": "pair", "default_view": wish, "csrf_token": csrf(client, "/admin/queryview/")})
    written.append(reply.status_code)
with create_session() as session:
    kept = session.query(models.DagModel).filter_by(dag_id="pair").one().default_view
answer([found, pages, written, kept])
"""


def test_any_text_as_default_view(airflow_db: PatchedAirflow) -> None:
    """A DAG's file, its row and airflow.cfg may say what they like: the index answers, and leads to a view.

    The list of DAG models takes only views that there are.
    """
    named = DAG.replace('DAG("pair", ', 'DAG("pair", default_view="none such", ')
    (airflow_db.home / "dags" / "pair.py").write_text(named)
    settings = {"AIRFLOW__WEBSERVER__DAG_DEFAULT_VIEW": "calendar", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    found, pages, written, kept = ask(airflow_db, _VIEWS, **settings)
    assert found == [[200, view] for view in ("tree", "graph", "tree", "tree", "tree", "tree", "tree")]
    assert pages == [200, 200]
    assert written == [500, 500, 200], "Flask-Admin's answer to a value that a form refuses"
    assert kept == "gantt"
