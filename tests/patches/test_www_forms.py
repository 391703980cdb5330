"""Flask-Admin's forms on WTForms 3 and SQLAlchemy 1.4."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow
from packaging.requirements import Requirement
from www_client import RUN_DAG, ask, write_dag

_CRUD = """
client = web().test_client()
model, fields, change = {model}, {fields!r}, {change!r}
page = "{url}new/"
def shown(url):
    return client.get(url).get_data(as_text=True)
created = post(client, "{url}new/", **fields)
again = post(client, "{url}new/", **fields)
with create_session() as session:
    row = session.query(model).filter_by(**{key!r}).one().id
form = shown("{url}edit/?id=%d" % row)
saved = post(client, "{url}edit/?id=%d" % row, **dict(fields, **change))
with create_session() as session:
    kept = session.query(model).filter_by(**{key!r}).one()
    kept = {{name: getattr(kept, name) for name in change}}
gone = post(client, "{url}delete/", id=row, url="{url}")
with create_session() as session:
    left = session.query(model).filter_by(**{key!r}).count()
answer([created.status_code, again.get_data(as_text=True), form, saved.status_code, kept, gone.status_code, left])
"""


@pytest.mark.parametrize(
    ("model", "url", "key", "fields", "change"),
    [
        ("models.Pool", "/admin/pool/", {"pool": "p<b>"}, {"pool": "p<b>", "slots": "3"}, {"slots": 5}),
        (
            "models.User",
            "/admin/user/",
            {"username": "u"},
            {"username": "u", "email": "a@b"},
            {"email": "c@d"},
        ),
        ("models.Variable", "/admin/variable/", {"key": "k"}, {"key": "k", "val": "1"}, {"val": '{"a": 2}'}),
    ],
)
def test_forms_with_a_unique_column_work(
    airflow_db: PatchedAirflow,
    model: str,
    url: str,
    key: dict[str, str],
    fields: dict[str, str],
    change: dict[str, object],
) -> None:
    """A row is created, refused a second time, shown escaped, edited and deleted."""
    code = _CRUD.format(model=model, url=url, key=key, fields=fields, change=change)
    created, again, form, saved, kept, gone, left = ask(airflow_db, code)
    assert (created, saved, gone) == (302, 302, 302)
    assert "Already exists." in again
    assert "p<b>" not in form
    assert "&amp;lt;" not in form
    assert kept == change
    assert left == 0


def test_lists_that_may_be_empty_show_a_blank(airflow_db: PatchedAirflow) -> None:
    """The empty choice has no text, and the form can be sent with it."""
    form, status = ask(
        airflow_db,
        """
client = web().test_client()
form = client.get("/admin/chart/new/").get_data(as_text=True)
sent = post(client, "/admin/chart/new/", label="c", owner="__None", conn_id="airflow_db", chart_type="line",
            sql_layout="series", sql="select 1", default_params="{}", height="300")
answer([form, sent.status_code])
""",
    )
    assert '<option selected value="__None"></option>' in form
    assert status == 302


def test_dag_run_form_sets_the_state(airflow_db: PatchedAirflow) -> None:
    """The form of a DAG run has its state, new ones are running, and an edit changes it."""
    write_dag(airflow_db)
    new, edit, state = ask(
        airflow_db,
        RUN_DAG
        + """
client = web().test_client()
new = client.get("/admin/dagrun/new/").get_data(as_text=True)
post(client, "/admin/dagrun/new/", dag_id="pair", run_id="two", execution_date="2026-01-02 00:00:00",
     state="running")
with create_session() as session:
    row = session.query(models.DagRun).filter_by(run_id="two").one().id
edit = post(client, "/admin/dagrun/edit/?id=%d" % row, dag_id="pair", run_id="two",
            execution_date="2026-01-02 00:00:00", state="failed").status_code
with create_session() as session:
    answer([new, edit, session.query(models.DagRun).filter_by(run_id="two").one().state])
""",
    )
    assert '<option selected value="running">running</option>' in new
    assert edit == 302
    assert state == "failed"


def test_requirements_hold_the_form_and_chart_libraries(airflow_tree: Path) -> None:
    """Releases that break the forms or the charts are not accepted at the install."""
    tree = ast.parse((airflow_tree / "setup.py").read_text(encoding="utf-8"))
    [listed] = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INSTALL_REQUIREMENTS"
    ]
    wanted = {need.name: need.specifier for need in map(Requirement, ast.literal_eval(listed))}
    assert wanted["wtforms"].contains("3.1.2")
    assert not wanted["wtforms"].contains("3.2.1")
    assert wanted["python-nvd3"].contains("0.15.0")
    assert not wanted["python-nvd3"].contains("0.16.0")
