"""A task that fails, is tried again, and fails; what comes after it sees that."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator

dag = DAG("faulty", start_date=datetime(2024, 1, 1), schedule_interval=None, catchup=False)

fails = BashOperator(
    task_id="fails",
    bash_command="echo try {{ ti.try_number }}; exit 3",
    retries=1,
    retry_delay=timedelta(seconds=1),
    dag=dag,
)
fails >> DummyOperator(task_id="after", dag=dag)
fails >> DummyOperator(task_id="rescue", trigger_rule="one_failed", dag=dag)
