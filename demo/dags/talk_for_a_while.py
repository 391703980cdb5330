"""A DAG whose task writes a line a second, so that its log can be watched while it runs.

The demo runs the task itself: its scheduler runs one task at a time, and would do nothing else meanwhile.
"""

import time
from datetime import UTC, datetime

from airflow import DAG
from airflow.operators.python_operator import PythonOperator

MINUTES = 5


def talk() -> None:
    for number in range(1, 60 * MINUTES + 1):
        print(f"line {number}, written at {datetime.now(UTC):%H:%M:%S} UTC")
        time.sleep(1)


with DAG(
    "talk_for_a_while",
    description="Writes a line a second: its log's page shows them while it runs",
    start_date=datetime(2026, 1, 1),
    schedule_interval=None,
    catchup=False,
    is_paused_upon_creation=True,
) as dag:
    PythonOperator(task_id="talk", python_callable=talk)
