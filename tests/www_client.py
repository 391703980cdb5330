"""Ask the webserver of the patched tree, through Flask's test client in a subprocess."""

from __future__ import annotations

import json
from typing import Any

from airflow_process import PatchedAirflow

# What a test's code finds ready. The CSRF protection stays on, as it is in a browser.
_PREAMBLE = r"""
import json, logging, re
from airflow import models, settings
from airflow.utils.db import create_session
from airflow.www.app import create_app

def web(**config):
    app = create_app()
    app.config.update(PROPAGATE_EXCEPTIONS=True, **config)
    logging.disable(logging.CRITICAL)
    return app

def csrf(client, page="/admin/airflow/login"):
    text = client.get(page).get_data(as_text=True)
    return re.search(r'csrf_token" type="hidden" value="([^"]+)"', text).group(1)

def post(client, url, /, page="/admin/queryview/", **fields):
    return client.post(url, data=dict(fields, csrf_token=csrf(client, page)))

def answer(value):
    print("\n" + json.dumps(value))
"""

# A DAG of two tasks; the code that runs it in the same process, so that there are a run, logs and XComs.
DAG = """
from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.utils.timezone import datetime
with DAG("pair", start_date=datetime(2026, 1, 1), schedule_interval="@daily") as dag:
    BashOperator(task_id="first", bash_command="echo '<b>told</b>'", xcom_push=True) >> BashOperator(
        task_id="second", bash_command="true")
"""
RUN_DAG = """
from airflow.utils.state import State
from airflow.utils.timezone import datetime
dag = models.DagBag().get_dag("pair")
dag.sync_to_db()
day = datetime(2026, 1, 1)
dag.create_dagrun(run_id="one", execution_date=day, state=State.RUNNING)
for task in dag.topological_sort():
    ti = models.TaskInstance(task, day)
    ti.refresh_from_db()
    ti.init_run_context(raw=True)
    ti._run_raw_task()
"""


def ask(airflow: PatchedAirflow, code: str, **settings: str) -> Any:
    """Run code that ends in `answer(…)`, and return what it answered."""
    return json.loads(airflow.quickly(_PREAMBLE + code, **settings).stdout.splitlines()[-1])


def write_dag(airflow: PatchedAirflow) -> None:
    """Put the DAG of two tasks into the DAG folder."""
    (airflow.home / "dags" / "pair.py").write_text(DAG)
