"""DAGs with tasks on outside platforms, and what their commands' ids look like in the database."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from airflow_process import PatchedAirflow, patched

from harness.conversation import Conversation
from harness.platforms import registered

DAY = "2026-01-01T00:00:00+00:00"
# Of the tasks: what is plain, derived, of another platform or of none; connections that are well or not.
DAGS = '''
from airflow import DAG
from airflow.contrib.operators.databricks_operator import DatabricksRunNowOperator, DatabricksSubmitRunOperator
from airflow.contrib.operators.qubole_check_operator import QuboleCheckOperator
from airflow.contrib.operators.qubole_operator import QuboleOperator
from airflow.operators.bash_operator import BashOperator
from airflow.utils.timezone import datetime

class Derived(QuboleOperator):
    pass

Plain = QuboleOperator
class QuboleOperator(BashOperator):
    """Named like the platform's, and none of it."""

with DAG("da.ta", start_date=datetime(2026, 1, 1), schedule_interval=None, default_args={"owner": "somebody"}) as dag:
    Plain(task_id="plain", command_type="hivecmd", query="q")
    Plain(task_id="plain.two", command_type="hivecmd", query="q")
    Derived(task_id="\u0434\u0435\u0440\u0437\u043a\u0438\u0439", command_type="hivecmd", query="q",
            qubole_conn_id="own")
    QuboleCheckOperator(task_id="check", command_type="hivecmd", query="q")
    Plain(task_id="lost", command_type="hivecmd", query="q", qubole_conn_id="gone")
    Plain(task_id="chosen", command_type="hivecmd", query="q", qubole_conn_id="{{ var.value.which }}")
    Plain(task_id="odd", command_type="hivecmd", query="q", qubole_conn_id="odd")
    DatabricksRunNowOperator(task_id="run", job_id=3, databricks_conn_id="bricks")
    DatabricksSubmitRunOperator(task_id="submit", json={}, databricks_conn_id="bricks")
    BashOperator(task_id="shell", bash_command="true")
    QuboleOperator(task_id="alike", bash_command="true")

with DAG("\u043f\u043b\u043e\u0442\u044c", start_date=datetime(2026, 1, 1), schedule_interval=None) as other:
    BashOperator(task_id="shell", bash_command="true")
'''
# Makes a run, and writes XComs as they stand in the table.
PREPARE = """
from airflow import models
from airflow.utils.timezone import datetime
for dag in models.DagBag().dags.values():
    dag.sync_to_db()
    dag.create_dagrun(run_id="one", execution_date=datetime(2026, 1, 1), state="running").verify_integrity()
"""
# A client of the application, which asks as a browser does.
CLIENT = """
import logging
from airflow import settings
from airflow.www.app import create_app
from airflow.models.xcom import BaseXCom
from airflow.utils.timezone import datetime
import builtins
if not hasattr(builtins, "app"):
    builtins.app = create_app()
    logging.disable(logging.CRITICAL)
client = app.test_client()
def store(task_id, content, key="qbol_cmd_id", dag_id="da.ta", date=datetime(2026, 1, 1)):
    session, xcom = settings.Session(), BaseXCom.__table__
    session.execute(xcom.delete().where(xcom.c.task_id == task_id))
    if content is not None:
        row = dict(key=key, value=content, execution_date=date, task_id=task_id, dag_id=dag_id)
        session.execute(xcom.insert().values(row))
    session.commit()
    settings.Session.remove()
def get(path, accept="text/html"):
    answer = client.get(path, headers={"Accept": accept})
    text = answer.get_data(as_text=True)
    return {"status": answer.status_code, "location": answer.headers.get("Location"), "text": text}
"""


def home_with_dags(folder: Path, tree: Path, interpreter: Path, database: Path) -> PatchedAirflow:
    """A home with a database and the DAGs, of which there is a run."""
    made = patched(folder, tree, interpreter)
    made.settings.update(registered(tree, folder))
    shutil.copy(database, folder / "airflow.db")
    (folder / "dags" / "platforms.py").write_text(DAGS)
    return made


def path(platform: str = "qds", **changes: str | None) -> str:
    """The route's address for the plain task, but for what is given; None leaves a parameter out."""
    asked = {"dag_id": "da.ta", "task_id": "plain", "execution_date": DAY, **changes}
    given = {name: value for name, value in asked.items() if value is not None}
    return f"/admin/airflow/goto_{platform}?{urlencode(given)}"


def asking(process: Conversation, stored: Any, address: str, task_id: str = "plain", accept: str = "text/html") -> Any:
    """Store an XCom's bytes, or none, and ask for an address."""
    return process.ask(f"{CLIENT}store({task_id!r}, {stored!r})\ntold(get({address!r}, {accept!r}))")


def dialogs(page: str) -> Any:
    """What a page tells its dialog of buttons; None if nothing."""
    _, found, rest = page.partition('<script id="goto_data" type="application/json"')
    return json.loads(rest.partition(">")[2].partition("</script>")[0]) if found else None
