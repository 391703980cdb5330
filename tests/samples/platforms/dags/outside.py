"""Tasks whose commands run elsewhere, for nodes that are killed or cut off; each command's name is its task's."""

from datetime import timedelta

from airflow import DAG
from airflow.contrib.operators.qubole_operator import QuboleOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.utils.timezone import datetime
from tiny_platform import TinyOperator

dag = DAG("outside", start_date=datetime(2024, 1, 1), schedule_interval="@once", default_args={"owner": "o"})
once_more = {"retries": 1, "retry_delay": timedelta(seconds=1)}


def qubole(task_id, queue, **given):
    command = {"command_type": "shellcmd", "script": "ls", "name": task_id}
    return QuboleOperator(task_id=task_id, dag=dag, queue=queue, **command, **given)


def tiny(task_id, queue, **given):
    return TinyOperator(task_id=task_id, dag=dag, queue=queue, name=task_id, **given)


qubole("runs", "killed")
qubole("succeeds", "killed") >> DummyOperator(task_id="after", dag=dag, queue="killed")
qubole("retried", "killed", **once_more)
qubole("other_account", "killed", qubole_conn_id="other")
tiny("waits", "killed")
tiny("fails", "killed")
tiny("unreachable", "killed", conn_id="gone")

qubole("cut_runs", "cut")
qubole("cut_succeeds", "cut")
qubole("cut_retried", "cut", **once_more)
qubole("cut_at_its_start", "cut", qubole_conn_id="late")

qubole("frozen_runs", "frozen")
tiny("frozen_succeeds", "frozen")
