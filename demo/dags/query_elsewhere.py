"""A DAG whose task runs a command on an outside platform: the demo has a stand-in for Qubole."""

from datetime import datetime

from airflow import DAG
from airflow.contrib.operators.qubole_operator import QuboleOperator
from airflow.operators.bash_operator import BashOperator


class CountRows(QuboleOperator):
    """An operator of one's own, derived from the platform's."""

    def __init__(self, table: str, *args: object, **given: object) -> None:
        super().__init__(*args, command_type="hivecmd", query=f"select count(*) from {table}", **given)


with DAG(
    "query_elsewhere",
    description="Runs a query on an outside platform; its dialog and its pages lead there",
    start_date=datetime(2026, 1, 1),
    schedule_interval=None,
    catchup=False,
) as dag:
    CountRows("orders", task_id="count_rows", fetch_logs=True) >> BashOperator(
        task_id="report", bash_command="echo the query is done"
    )
