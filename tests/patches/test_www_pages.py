"""The pages of the webserver, with a DAG that has run."""

from __future__ import annotations

import re

from airflow_process import PatchedAirflow
from www_client import RUN_DAG, ask, write_dag

_STRICT = """
import warnings
warnings.filterwarnings("error", category=DeprecationWarning, module="airflow.www")
"""
# Every page answers 200 to these; a 500 would name itself by its traceback.
_WALK = """
from urllib.parse import quote
from flask_admin.contrib.sqla import ModelView
app = web()
client = app.test_client()
run = "dag_id=pair&task_id=first&execution_date=" + quote(day.isoformat())
pages = ["/admin/", "/admin/?search=pair&showPaused=True&page=0", "/health", "/admin/queryview/",
         "/admin/configurationview/", "/admin/versionview/"]
pages += ["/admin/airflow/" + name + "?" + run for name in (
    "graph", "tree", "duration", "tries", "landing_times", "gantt", "dag_details", "code", "rendered", "log",
    "task", "xcom", "trigger", "blocked", "dag_stats", "task_stats", "pickle_info", "object/task_instances",
    "get_logs_with_metadata")]
pages[-1] += "&try_number=1&metadata=null"
[admin] = app.extensions["admin"]
for view in [view for view in admin._views if isinstance(view, ModelView)]:
    pages += [view.url + "/"] + [view.url + "/new/"] * view.can_create
    for number, _ in enumerate(view.get_list_columns()):
        pages += [view.url + "/?sort=%d&desc=1" % number]
    if view._search_supported:
        pages += [view.url + "/?search=" + quote("<b>%")]
    with app.test_request_context("/"):
        for number, each in enumerate(view._filters or []):
            value = "2026-01-01 00:00:00" + " to 2026-01-02 00:00:00" * ("Between" in type(each).__name__)
            value = value if "DateTime" in type(each).__name__ else "1"
            pages += [view.url + "/?flt0_%s=%s" % (view.get_filter_arg(number, each), quote(value))]
    with create_session() as session:
        row = session.query(view.model).first()
        if row is not None and view.can_edit:
            pages += [view.url + "/edit/?id=" + quote(str(view.get_pk_value(row)))]
"""


def test_every_page_answers(airflow_db: PatchedAirflow) -> None:
    """All views of a DAG, all lists with each sort and filter, all forms; nothing is escaped twice."""
    write_dag(airflow_db)
    wrong, twice, count = ask(
        airflow_db,
        _STRICT
        + RUN_DAG
        + _WALK
        + """
answers = {page: client.get(page) for page in pages}
wrong = {page: each.status_code for page, each in answers.items() if each.status_code != 200}
twice = [page for page, each in answers.items()
         if "gzip" not in each.headers.get("Content-Encoding", "") and re.search(b"&amp;(lt|gt|#)", each.data)]
answer([wrong, twice, len(pages)])
""",
    )
    assert wrong == {}
    assert twice == []
    assert count > 350


def test_log_and_xcom_of_a_run_are_shown(airflow_db: PatchedAirflow) -> None:
    """What a task wrote can be read and downloaded, and its markup is shown, not obeyed."""
    write_dag(airflow_db)
    log, file, xcom = ask(
        airflow_db,
        RUN_DAG
        + """
client = web().test_client()
run = "?dag_id=pair&task_id=first&execution_date=2026-01-01T00%3A00%3A00%2B00%3A00"
logs = "/admin/airflow/get_logs_with_metadata" + run + "&try_number=1&metadata=null"
answer([client.get(logs).get_json()["message"], client.get(logs + "&format=file").get_data(as_text=True),
        client.get("/admin/airflow/xcom" + run).get_data(as_text=True)])
""",
    )
    assert "<b>told</b>" in log
    assert "<b>told</b>" in file
    assert "&lt;b&gt;told&lt;/b&gt;" in xcom


def test_actions_change_the_run(airflow_db: PatchedAirflow) -> None:
    """Dialogs and bulk actions ask, then act; without a CSRF token they do neither."""
    write_dag(airflow_db)
    refused, asked, states = ask(
        airflow_db,
        RUN_DAG
        + """
client = web().test_client()
run = dict(dag_id="pair", task_id="first", execution_date=day.isoformat(), origin="/admin/")
def state():
    with create_session() as session:
        row = session.query(models.TaskInstance).filter_by(task_id="first").one()
        return row.state
refused = client.post("/admin/airflow/failed", data=run).status_code
asked = post(client, "/admin/airflow/failed", **run).get_data(as_text=True)
states = [state()]
post(client, "/admin/airflow/failed", confirmed="true", **run)
states.append(state())
post(client, "/admin/taskinstance/action/", action="set_success", rowid="first,pair," + day.isoformat())
states.append(state())
post(client, "/admin/airflow/clear", confirmed="true", **run)
states.append(state())
post(client, "/admin/airflow/trigger", dag_id="pair", origin="/admin/", conf='{"a": 1}')
with create_session() as session:
    states.append(session.query(models.DagRun).filter(models.DagRun.run_id.like("manual%")).one().conf)
answer([refused, asked, states])
""",
    )
    assert refused == 400
    assert "Wait a minute." in asked
    assert states == ["success", "failed", "success", None, {"a": 1}]


def test_variables_are_exported_and_imported(airflow_db: PatchedAirflow) -> None:
    """A file of variables that was exported can be imported; secret ones are not shown."""
    exported, shown, secret = ask(
        airflow_db,
        """
import io
client = web().test_client()
file = (io.BytesIO(b'{"plain": "x", "deep": {"a": [1]}, "my_secret": "hush"}'), "v.json")
client.post("/admin/airflow/varimport", data={"file": file, "csrf_token": csrf(client, "/admin/queryview/")})
with create_session() as session:
    rows = [row for row, in session.query(models.Variable.id)]
text = post(client, "/admin/variable/action/", action="varexport", rowid=rows)
row = client.get("/admin/variable/?search=my_secret").get_data(as_text=True)
with create_session() as session:
    number = session.query(models.Variable).filter_by(key="my_secret").one().id
answer([text.get_json(), row, client.get("/admin/variable/edit/?id=%d" % number).get_data(as_text=True)])
""",
    )
    assert exported == {"plain": "x", "deep": {"a": [1]}, "my_secret": "hush"}
    assert "********" in shown
    assert "hush" not in shown + secret


def test_variables_form_without_json_is_accepted(airflow_db: PatchedAirflow) -> None:
    """A form that posts nothing changes nothing; one that posts JSON sets a variable."""
    empty, filled, value = ask(
        airflow_db,
        """
client = web(WTF_CSRF_ENABLED=False).test_client()
answer([client.post("/admin/airflow/variables/f", data={"a": "b"}).status_code,
        client.post("/admin/airflow/variables/f", json={"a": "b"}).status_code,
        models.Variable.get("f", deserialize_json=True)])
""",
    )
    assert (empty, filled) == (200, 200)
    assert value == {"a": "b"}


def test_only_the_tab_of_the_page_is_highlighted(airflow_db: PatchedAirflow) -> None:
    """The trigger link, which names the tree view as its origin, is not taken for that tab."""
    write_dag(airflow_db)
    page = ask(
        airflow_db,
        RUN_DAG + 'answer(web().test_client().get("/admin/airflow/tree?dag_id=pair").get_data(as_text=True))',
    )
    [operator] = re.findall(r"""\$\('a\[href(.)="' \+ this\.location\.pathname""", page)
    matches = {"^": str.startswith, "*": str.__contains__}[operator]
    links = re.findall(r'<li>\s*<a href="(/admin/airflow/[^"]*)"', page)
    lit = [link.split("?")[0] for link in links if matches(link, "/admin/airflow/tree")]
    assert lit == ["/admin/airflow/tree"]
    assert any(link.startswith("/admin/airflow/trigger") for link in links)


def test_list_of_dags_refreshes_by_post(airflow_db: PatchedAirflow) -> None:
    """Its link is one that page.js sends as a form; the address takes no other request."""
    write_dag(airflow_db)
    got, links = ask(
        airflow_db,
        """
models.DagBag().get_dag("pair").sync_to_db()
client = web().test_client()
text = client.get("/admin/dagmodel/").get_data(as_text=True)
answer([client.get("/admin/airflow/refresh?dag_id=pair").status_code,
        re.findall("<a [^>]*/refresh[^>]*>", text)])
""",
    )
    assert got == 405
    assert len(links) == 1
    assert "data-service-post-as-form" in links[0]


def test_the_error_page_has_an_icon(airflow_db: PatchedAirflow) -> None:
    """Without a link to one, browsers ask for /favicon.ico, which lies outside of the prefix."""
    status, text = ask(
        airflow_db,
        """
app = web()
app.config["PROPAGATE_EXCEPTIONS"] = False
page = app.test_client().get("/admin/airflow/chart_data?chart_id=0")
answer([page.status_code, page.get_data(as_text=True)])
""",
    )
    assert status == 500
    assert '<link rel="icon" type="image/png" href="/static/pin_32.png">' in text


def test_plain_error_pages_have_an_icon(airflow_db: PatchedAirflow) -> None:
    """Those that Werkzeug writes, too, below the prefix, and nothing else that is asked for."""
    found = ask(
        airflow_db,
        """
client = web().test_client()
def get(reply):
    return [reply.status_code, reply.mimetype, reply.get_data(as_text=True), reply.headers.get("Allow", "")]
answer([get(client.get("/admin/airflow/refresh?dag_id=x")),
        get(client.post("/admin/airflow/trigger", data={"dag_id": "x"}))])
""",
        AIRFLOW__WEBSERVER__BASE_URL="http://localhost/airflow-1",
    )
    icon = '<link rel="icon" type="image/png" href="/airflow-1/static/pin_32.png">'
    assert [status for status, *_ in found] == [405, 400]
    assert all(icon in text and len(re.findall("href|src", text)) == 1 for _, _, text, _ in found)
    assert "POST" in found[0][3]
