"""Nodes are killed and cut off while commands run elsewhere; PostgreSQL, Redis, Celery and the stand-in are real."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.extras import extra_packages
from harness.platforms import connection
from harness.processes import Running, wait_for
from harness.servers import Postgres
from harness.site import NewSite, Site

from stand_in import Command, Fault, Plan, StandIn, serving

pytestmark = [pytest.mark.slow]

PLATFORMS = Path(__file__).resolve().parents[1] / "samples" / "platforms"
# What becomes of each task, and whether its command has to be cancelled.
ENDS = {
    "runs": ("failed", True),
    "succeeds": ("success", False),
    "retried": ("success", True),
    "unreachable": ("failed", True),
    "frozen_runs": ("failed", True),
}
MORE = {
    "waits": ("failed", True),
    "fails": ("failed", False),
    "other_account": ("failed", True),
    "frozen_succeeds": ("success", False),
}
AFTER_THE_CUT = {"succeeds": "done", "fails": "error", "frozen_succeeds": "done"}


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving({"stand-in-token": "main", "second": "other", "third": "gone"}) as server:
        # Until they are told.
        server.commands.default = Plan(seconds=None)
        server.commands.plans.append(Plan(seconds=None, waiting=9999, match='"name": "waits"'))
        yield server


def test_nodes_that_are_killed_or_cut_off(
    new_site: NewSite, postgres: Postgres, redis: str, installed: Path, stand_in: StandIn, thorough: bool
) -> None:
    """Each task ends as its command does; what runs on is cancelled exactly once, and nothing else is."""
    ends = {**ENDS, **(MORE if thorough else {})}
    database = postgres.create("outside")
    site = new_site(
        "outside",
        PYTHONPATH=f"{PLATFORMS}:{extra_packages(installed)}",
        THOROUGH="1" if thorough else "",
        AIRFLOW__CORE__DAGS_FOLDER=str(PLATFORMS / "dags"),
        AIRFLOW__CORE__SQL_ALCHEMY_CONN=database,
        AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
        AIRFLOW__CORE__PARALLELISM="16",
        AIRFLOW__CELERY__WORKER_CONCURRENCY="8",
        AIRFLOW__CELERY__BROKER_URL=redis,
        AIRFLOW__CELERY__RESULT_BACKEND=f"db+{database}",
        AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD="8",
        AIRFLOW__SERVICE__EXTERNAL_COMMAND_TIMEOUT="5",
        AIRFLOW__SERVICE__EXTERNAL_COMMAND_REQUEST_TIMEOUT="2",
        AIRFLOW_CONN_QUBOLE_DEFAULT=connection(stand_in.url),
        AIRFLOW_CONN_OTHER=connection(stand_in.url, "second"),
        AIRFLOW_CONN_TINY=connection(stand_in.url),
        AIRFLOW_CONN_GONE=connection(stand_in.url, "third"),
    )
    site.run("initdb")
    with ExitStack() as stack:
        scheduler = stack.enter_context(site.start("scheduler"))
        doomed = stack.enter_context(site.start("worker", "-q", "doomed"))
        frozen = stack.enter_context(site.start("worker", "-q", "frozen"))
        wait_for("the commands", lambda: _noted(site) == set(ends), 120, scheduler, doomed, frozen)
        _signal(doomed, signal.SIGKILL)
        _signal(frozen, signal.SIGSTOP)
        for name in AFTER_THE_CUT.keys() & ends:
            stand_in.commands.tell(_command(stand_in, name).id, AFTER_THE_CUT[name])
        cut_off = stand_in.faults.add(Fault("nothing", account="gone"))
        wait_for("the zombies' ends", lambda: _ended(site, ends), 120, scheduler, interval=0.5)

        first = _command(stand_in, "retried")
        assert first.status == "cancelled"
        stack.enter_context(site.start("worker", "-q", "doomed"))
        second = wait_for("the second try", lambda: _after(stand_in, first), 60, scheduler)
        _signal(frozen, signal.SIGCONT)
        stand_in.commands.tell(second.id, "done")
        wait_for("its success", lambda: site.task_states("outside")["retried"] == "success", 60, scheduler)
        wait_for("the end of what was cut off", lambda: not _at_work(frozen), 60, scheduler)

        assert "open for" in site.run("reconcile", command="airflow-service", check=False).stdout
        cut_off.times = 0
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda _: site.run("reconcile", command="airflow-service", check=False), range(2)))
        states = {name: state for name, (state, _) in ends.items()}
        assert site.task_states("outside") == {**states, "after": "success"}
    cancels = {each.given["name"]: each.cancels for each in stand_in.commands if each is not second}
    assert cancels == {name: int(due) for name, (_, due) in ends.items()}
    assert second.cancels == 0
    fails = dict(site.query("SELECT task_id, count(*) FROM task_fail GROUP BY task_id"))
    assert fails == {name: 1 for name in ends if states[name] == "failed" or name == "retried"}
    assert site.query("SELECT count(*) FROM external_command WHERE ended IS NULL") == [(0,)]


def _noted(site: Site) -> set[str]:
    if not site.query("SELECT 1 FROM information_schema.tables WHERE table_name = 'external_command'"):
        return set()
    return {task_id for (task_id,) in site.query("SELECT task_id FROM external_command")}


def _command(stand_in: StandIn, name: str) -> Command:
    return next(each for each in stand_in.commands if each.given["name"] == name)


def _after(stand_in: StandIn, first: Command) -> Command | None:
    """The second command of that name; the first has to have come to its end before it."""
    return next(
        (each for each in stand_in.commands if each.given["name"] == "retried" and each is not first), None
    )


def _ended(site: Site, ends: dict[str, tuple[str, bool]]) -> bool:
    states = site.task_states("outside")
    return states["after"] == "success" and "running" not in {states[name] for name in ends}


def _signal(node: Running, number: signal.Signals) -> None:
    """Send it to a worker and to all that it has started, as a power cut or a lost network would hit them."""
    for pid in [node.process.pid, *node.descendants()]:
        os.kill(pid, number)


def _at_work(node: Running) -> bool:
    titles = []
    for pid in node.descendants():
        try:
            titles.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
    return any(b"airflow task runner" in title for title in titles)
