"""JSON in pages, where Flask 3 writes it another way than the release's Flask."""

from __future__ import annotations

from airflow_process import PatchedAirflow
from www_client import ask

_DAG = """
from datetime import datetime
from airflow import DAG
from airflow.operators.dummy_operator import DummyOperator
dag = DAG("plain", start_date=datetime(2024, 1, 1, 12), schedule_interval=None)
DummyOperator(task_id="only", dag=dag)
"""


def test_tree_of_a_dag_with_a_plain_date(airflow_db: PatchedAirflow) -> None:
    """A start date without a zone, as most DAGs have it, is shown as the release showed it."""
    (airflow_db.home / "dags" / "plain.py").write_text(_DAG)
    status, text = ask(
        airflow_db,
        """
models.DagBag().get_dag("plain").sync_to_db()
page = web().test_client().get("/admin/airflow/tree?dag_id=plain")
answer([page.status_code, page.get_data(as_text=True)])
""",
    )
    assert status == 200
    assert '"start_date": "Mon, 01 Jan 2024 12:00:00 GMT"' in text
