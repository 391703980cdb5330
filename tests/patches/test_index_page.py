"""The list of DAGs: what it costs the database and the browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from airflow_process import patched
from www_client import ask

# Four DAGs: with two runs, with one, with none, and with a run that a user triggered last.
_ASK = """
from airflow.models import DagModel, DagRun
from airflow.utils.timezone import datetime
from airflow_service.application import ServiceFlask
from sqlalchemy import event

RUNS = {"twice": [(1, False), (3, False)], "once": [(2, False)], "never": [], "by-hand": [(4, False), (5, True)]}
with create_session() as session:
    for dag_id, runs in RUNS.items():
        session.add(DagModel(dag_id=dag_id, is_active=True, is_paused=False, owners="ann"))
        for day, by_hand in runs:
            moment = datetime(2026, 1, day, 6, 30)
            session.add(DagRun(dag_id=dag_id, run_id=str(day), execution_date=moment, start_date=moment,
                               external_trigger=by_hand))
statements = []
@event.listens_for(settings.engine, "before_cursor_execute")
def note(connection, cursor, statement, *_):
    statements.append(statement)
made = []
plain_url_for = ServiceFlask.url_for
def counted(app, endpoint, **values):
    made.append(endpoint)
    return plain_url_for(app, endpoint, **values)
ServiceFlask.url_for = counted
page = web().test_client().get("/admin/")
answer(dict(text=page.get_data(as_text=True), made=made, runs=[text for text in statements if "FROM dag_run" in text or
                                                     "JOIN dag_run" in text]))
"""


@pytest.fixture(scope="module")
def index(
    airflow_tree: Path,
    airflow_interpreter: Path,
    database_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """The page, and the queries for runs that it made."""
    airflow = patched(tmp_path_factory.mktemp("index"), airflow_tree, airflow_interpreter)
    shutil.copy(database_template, airflow.home / "airflow.db")
    return dict(ask(airflow, _ASK))


def test_the_last_run_of_every_dag_comes_with_one_query(index: dict[str, Any]) -> None:
    """Each DAG shows its last run, whoever began it; the database is asked once, however many there are."""
    cells = re.findall(r'latest_dag_run ([\w-]+)"[^>]*>(.*?)</td>', index["text"], re.S)
    shown = {dag_id: re.findall(r"2026-\d\d-\d\d \d\d:\d\d", cell) for dag_id, cell in cells}
    assert shown == {
        "by-hand": ["2026-01-05 06:30"] * 2,
        "never": [],
        "once": ["2026-01-02 06:30"] * 2,
        "twice": ["2026-01-03 06:30"] * 2,
    }
    assert len(index["runs"]) == 1, index["runs"]


def test_the_page_is_not_measured_before_it_is_shown(index: dict[str, Any]) -> None:
    """DataTables does not lay the table out again, nor are tooltips made for hundreds of icons."""
    scripts = "".join(re.findall(r"<script\b[^>]*>(.*?)</script>", index["text"], re.S))
    assert "$('span').tooltip()" not in scripts
    assert "jquery.dataTables" not in index["text"]
    assert ".dataTable(" not in scripts


def test_the_page_loads_what_it_needs_alone(index: dict[str, Any]) -> None:
    """It has no library; what is drawn is asked for before any file is, and the page laid out once."""
    tags = re.findall(r"<script\b[^>]*\bsrc=[^>]*>", index["text"])
    assert [re.findall(r'src="[^"]*/([^/"?]+)"', tag) for tag in tags] == [["list_of_dags.js"]]
    assert all("defer" in tag and 'blocking="render"' in tag for tag in tags)
    scripts = "".join(re.findall(r"<script\b[^>]*>(.*?)</script>", index["text"], re.S))
    assert "$(" not in scripts
    assert "$." not in scripts
    assert index["text"].index("fetch(") < index["text"].index("stylesheet")
    asked = json.loads(re.findall(r"var dagData = ({.*?});", index["text"])[0])
    assert asked == {
        "blocked": "/admin/airflow/blocked",
        "task_stats": "/admin/airflow/task_stats?dag_ids=by-hand,never,once,twice",
        "dag_stats": "/admin/airflow/dag_stats",
    }


def test_the_addresses_of_links_are_made_once(index: dict[str, Any]) -> None:
    """However many DAGs there are; each DAG's row has all of its links."""
    views = ("tree", "graph", "duration", "tries", "landing_times", "gantt", "code", "refresh", "delete")
    rows = re.findall(r"(?s)<td [^>]*flex-direction:row.*?</td>", index["text"])
    expected = {f"/admin/airflow/{view}?dag_id=by-hand" for view in views} | {
        "/admin/airflow/trigger?dag_id=by-hand&amp;origin=/admin/",
        "/admin/log/?sort=1&amp;desc=1&amp;flt1_dag_id_equals=by-hand",
    }
    assert set(re.findall(r'href="([^"]*)"', rows[0])) == expected
    assert [set(re.findall(r"=(by-hand|never|once|twice)\b", row)) for row in rows] == [
        {"by-hand"}, {"never"}, {"once"}, {"twice"}
    ]  # fmt: skip
    assert 'data-service-delete-dag="by-hand" nonce=' in rows[0]
    assert index["made"].count("airflow.gantt") == 1
    assert "contain-intrinsic-size: 11em 20px" in index["text"]
