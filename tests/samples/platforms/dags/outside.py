"""Tasks whose commands run elsewhere, for nodes that are killed or cut off; each command's name is its task's."""

import os
from datetime import timedelta

from airflow import DAG
from airflow.contrib.operators.qubole_operator import QuboleOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.utils.timezone import datetime
from tiny_platform import TinyOperator

dag = DAG("outside", start_date=datetime(2024, 1, 1), schedule_interval="@once", default_args={"owner": "o"})


def qubole(task_id, queue="doomed", **given):
    command = {"command_type": "shellcmd", "script": "ls", "name": task_id}
    return QuboleOperator(task_id=task_id, dag=dag, queue=queue, **command, **given)


def tiny(task_id, queue="doomed", **given):
    return TinyOperator(task_id=task_id, dag=dag, queue=queue, name=task_id, **given)


qubole("runs")
qubole("succeeds") >> DummyOperator(task_id="after", dag=dag)
qubole("retried", retries=1, retry_delay=timedelta(seconds=1))
tiny("unreachable", conn_id="gone")
qubole("frozen_runs", queue="frozen")
# Each takes seconds of a core to start.
if os.environ.get("THOROUGH"):
    tiny("waits")
    tiny("fails")
    qubole("other_account", qubole_conn_id="other")
    tiny("frozen_succeeds", queue="frozen")
