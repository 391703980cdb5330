"""A small DAG that uses what most DAGs use: shell, Python, XCom and a branch."""

from datetime import datetime

from airflow import DAG
from airflow.models import TaskInstance
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python_operator import BranchPythonOperator, PythonOperator


def count_words(text: str) -> int:
    """The number of words, which the next task pulls as an XCom."""
    print(f"counting: {text}")
    return len(text.split())


def choose(ti: TaskInstance, **context: object) -> str:
    return "long" if ti.xcom_pull(task_ids="count") > 3 else "short"


with DAG(
    "hello_service",
    description="Says hello, counts the words, and branches on the number",
    start_date=datetime(2026, 1, 1),
    schedule_interval=None,
    catchup=False,
) as dag:
    hello = BashOperator(task_id="hello", bash_command="echo hello from $(airflow version)", xcom_push=True)
    count = PythonOperator(
        task_id="count", python_callable=count_words, op_args=["{{ ti.xcom_pull(task_ids='hello') }}"]
    )
    branch = BranchPythonOperator(task_id="branch", python_callable=choose, provide_context=True)
    done = DummyOperator(task_id="done", trigger_rule="none_failed")
    hello >> count >> branch
    branch >> [DummyOperator(task_id="short"), DummyOperator(task_id="long")] >> done
