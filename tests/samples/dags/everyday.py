"""What DAGs do every day: a shell, Python, values passed on, a branch, and a join after it."""

from datetime import datetime

from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python_operator import BranchPythonOperator, PythonOperator

dag = DAG("everyday", start_date=datetime(2024, 1, 1), schedule_interval="@once", catchup=False)


def double(**context):
    number = int(context["ti"].xcom_pull(task_ids="shell"))
    print(f"the shell said {number}")
    return {"doubled": 2 * number}


def way(ti, **_):
    return "taken" if ti.xcom_pull(task_ids="python")["doubled"] == 42 else "left_out"


shell = BashOperator(task_id="shell", bash_command="echo {{ 20 + 1 }}", xcom_push=True, dag=dag)
python = PythonOperator(task_id="python", python_callable=double, provide_context=True, dag=dag)
branch = BranchPythonOperator(task_id="branch", python_callable=way, provide_context=True, dag=dag)
taken = DummyOperator(task_id="taken", dag=dag)
left_out = DummyOperator(task_id="left_out", dag=dag)
join = BashOperator(
    task_id="join",
    bash_command="echo run {{ run_id }} of {{ ds }} joined",
    trigger_rule="none_failed",
    dag=dag,
)

shell >> python >> branch >> [taken, left_out] >> join
