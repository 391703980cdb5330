"""Buttons and the route for DAGs that the webserver knows by their serialized form alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.conversation import Conversation, conversation
from harness.goto_site import CLIENT, DAY, PREPARE, asking, dialogs, home_with_dags, path

DERIVED = "\u0434\u0435\u0440\u0437\u043a\u0438\u0439"
# Changes the rows as a version that wrote nothing down would have left them.
_AS_BEFORE = """
import json
from airflow import settings
from airflow.models.serialized_dag import SerializedDagModel
session = settings.Session()
for row in session.query(SerializedDagModel):
    data = row.data
    for task in data["dag"]["tasks"]:
        for name in ("_service_platform", "_service_connection"):
            task.pop(name, None)
    session.execute(SerializedDagModel.__table__.update().where(
        SerializedDagModel.__table__.c.dag_id == row.dag_id).values(data=data))
session.commit()
settings.Session.remove()
from airflow.www import views
views.dagbag.dags.clear()
views.dagbag.dags_last_fetched.clear()
"""


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path, database_template: Path
) -> Iterator[Conversation]:
    """The application beside a DAG folder that is empty; the DAGs were serialized by another process."""
    folder = tmp_path_factory.mktemp("goto") / "home"
    airflow = home_with_dags(folder, airflow_tree, airflow_interpreter, database_template)
    settings = {
        "AIRFLOW__CORE__STORE_SERIALIZED_DAGS": "True",
        "AIRFLOW_CONN_QUBOLE_DEFAULT": "qubole://:secret@/",
        "AIRFLOW_CONN_OWN": "qubole://:secret@https%3A%2F%2Fus.qubole.com%2Fapi%2F",
    }
    prepare = PREPARE.replace("DagBag()", "DagBag(store_serialized_dags=False)")
    write = "    from airflow.models.serialized_dag import SerializedDagModel\n    SerializedDagModel.write_dag(dag)\n"
    airflow.python(prepare + write, **settings)
    shutil.rmtree(folder / "dags")
    (folder / "dags").mkdir()
    with conversation(airflow, **settings) as process:
        yield process


def graph(site: Conversation) -> Any:
    return dialogs(site.ask(f"{CLIENT}told(get('/admin/airflow/graph?dag_id=da.ta')['text'])"))


def test_derived_operators(site: Conversation) -> None:
    """A class that the DAG's file derives has its button, and leads to its own connection's host."""
    assert graph(site)["classes"]["Derived"] == "qds"
    assert graph(site)["tasks"] == {"alike": None}
    answer = asking(site, b"7", path(task_id=DERIVED), DERIVED)
    assert (answer["status"], answer["location"]) == (302, "https://us.qubole.com/v2/analyze?command_id=7")
    log = f"/admin/airflow/log?dag_id=da.ta&task_id={DERIVED}&execution_date={DAY[:19]}"
    assert "Goto QDS" in site.ask(f"{CLIENT}told(get({log!r})['text'])")


def test_what_leads_nowhere(site: Conversation) -> None:
    """The same pages as with the DAG's file."""
    asking(site, b"7", path(), "chosen")
    addresses = [path(task_id=task_id) for task_id in ("shell", "alike", "chosen", "nothing")]
    statuses = site.ask(f"{CLIENT}told([get(path)['status'] for path in {addresses!r}])")
    assert statuses == [404, 404, 422, 404]


def test_dags_serialized_before(site: Conversation) -> None:
    """Rows of a version that wrote nothing down know the platform's own operators, and their connections."""
    site.ask(CLIENT + _AS_BEFORE)
    own = {"DatabricksRunNowOperator": "databricks", "DatabricksSubmitRunOperator": "databricks"}
    assert graph(site)["classes"] == {"QuboleOperator": "qds"} | own
    answer = asking(site, b"7", path())
    assert (answer["status"], answer["location"]) == (302, "https://api.qubole.com/v2/analyze?command_id=7")
