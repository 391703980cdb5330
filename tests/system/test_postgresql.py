"""The executors of a cluster, on PostgreSQL, with a real broker between."""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import quote

import pytest
import requests
from harness.first_sight import seen_first
from harness.log_tokens import allowed, secret_key
from harness.processes import free_port, wait_for
from harness.runs import before_its_end, run_to_success, stop_in_order
from harness.servers import Postgres
from harness.site import NewSite, Site, answers, complaints

pytestmark = [pytest.mark.slow]


def test_local_executor(new_site: NewSite, postgres: Postgres) -> None:
    """A scheduled DAG succeeds, its tasks run by the scheduler's own workers."""
    site = new_site(
        "local",
        AIRFLOW__CORE__SQL_ALCHEMY_CONN=postgres.create("local"),
        AIRFLOW__CORE__EXECUTOR="LocalExecutor",
    )
    made = site.run("initdb")
    with site.start("scheduler") as scheduler:
        run_to_success(site, scheduler)
        stop_in_order(scheduler)
    assert len(set(seen_first(site))) == 3
    assert complaints(made.stdout, made.stderr, before_its_end(scheduler)) == []


# Redis carries the tasks of test_external_commands, too.
@pytest.mark.parametrize("broker", ["rabbitmq", pytest.param("redis", marks=pytest.mark.thorough)])
def test_celery_executor(
    new_site: NewSite, postgres: Postgres, broker: str, request: pytest.FixtureRequest
) -> None:
    """A worker takes the tasks from the broker, serves their logs, and Flower sees it."""
    logs, monitor = free_port(), free_port()
    database = postgres.create(f"celery_{broker}")
    site = new_site(
        broker,
        AIRFLOW__CORE__SQL_ALCHEMY_CONN=database,
        AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
        AIRFLOW__CELERY__BROKER_URL=request.getfixturevalue(broker),
        AIRFLOW__CELERY__RESULT_BACKEND=f"db+{database}",
        AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT=str(logs),
        AIRFLOW__SERVICE__LOG_SERVER_HOST="127.0.0.1",
        AIRFLOW__CELERY__FLOWER_HOST="127.0.0.1",
        AIRFLOW__CELERY__FLOWER_PORT=str(monitor),
    )
    made = site.run("initdb")
    with ExitStack() as stack:
        worker = stack.enter_context(site.start("worker"))
        scheduler = stack.enter_context(site.start("scheduler"))
        run_to_success(site, scheduler, worker)
        _logs_are_served(site, logs)
        flower = stack.enter_context(site.start("flower"))
        workers = f"http://127.0.0.1:{monitor}/workers?json=1"
        wait_for("Flower", lambda: answers(workers), 60, flower, worker)
        wait_for("its view of the worker", lambda: _is_online(workers), 60, flower, worker)
        flower.terminate()
        stop_in_order(scheduler)
        stop_in_order(worker)
    assert complaints(made.stdout, made.stderr, before_its_end(scheduler), worker.output, flower.output) == []


def _logs_are_served(site: Site, port: int) -> None:
    """`serve_logs`, which the worker starts, gives a task's log out."""
    (path,) = (site.home / "logs" / "everyday" / "python").glob("*/1.log")
    name = str(path.relative_to(site.home / "logs"))
    token = allowed(name, secret_key(site.home))
    answer = requests.get(f"http://127.0.0.1:{port}/log/{quote(name)}", headers=token, timeout=10)
    assert "the shell said 21" in answer.text


def _is_online(workers: str) -> bool:
    return any(each["status"] is True for each in requests.get(workers, timeout=10).json()["data"])
