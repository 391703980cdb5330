"""Nodes are killed and cut off while commands run elsewhere; PostgreSQL, Redis, Celery and the stand-in are real."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from harness.cut_network import Network
from harness.extras import extra_packages
from harness.platforms import connection
from harness.processes import Running, free_port, wait_for
from harness.servers import Postgres
from harness.site import NewSite, Site

from stand_in import Command, Fault, Plan, StandIn, serving

pytestmark = [pytest.mark.slow]

PLATFORMS = Path(__file__).resolve().parents[1] / "samples" / "platforms"
# What becomes of each task, and how often the command of its first try is cancelled.
ENDS = {
    "runs": ("failed", 1),
    "succeeds": ("success", 0),
    "fails": ("failed", 0),
    "waits": ("failed", 1),
    "retried": ("success", 1),
    "other_account": ("failed", 1),
    "unreachable": ("failed", 1),
    "cut_runs": ("failed", 1),
    "cut_succeeds": ("success", 0),
    "cut_retried": ("success", 1),
    "cut_at_its_start": ("failed", 1),
    "frozen_runs": ("failed", 1),
    "frozen_succeeds": ("success", 0),
}
STATES = {name: state for name, (state, _) in ENDS.items()}
CANCELS = {name: due for name, (_, due) in ENDS.items()}
MEANWHILE = {"succeeds": "done", "fails": "error", "cut_succeeds": "done", "frozen_succeeds": "done"}
RETRIED = ("retried", "cut_retried")


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with serving({"stand-in-token": "main", "second": "other", "third": "gone", "fourth": "late"}) as server:
        # Until they are told.
        server.commands.default = Plan(seconds=None)
        server.commands.plans.append(Plan(seconds=None, waiting=9999, match='"name": "waits"'))
        yield server


@dataclass
class Cluster:
    """Machines on which tasks wait for commands, and what they have in common."""

    stack: ExitStack
    new_site: NewSite
    database: str
    broker: str
    platform: str
    settings: dict[str, str]

    def machine(self, name: str, network: Network | None = None, **settings: str) -> Site:
        """A machine, which reaches all others directly, or by a network of its own."""
        far = network.through if network else str
        database, platform = far(self.database), far(self.platform)
        return self.new_site(
            name,
            AIRFLOW__CORE__DAGS_FOLDER=str(PLATFORMS / "dags"),
            AIRFLOW__CORE__SQL_ALCHEMY_CONN=database,
            AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
            AIRFLOW__CORE__PARALLELISM="16",
            AIRFLOW__CELERY__WORKER_CONCURRENCY="8",
            AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT=str(free_port()),
            AIRFLOW__CELERY__BROKER_URL=far(self.broker),
            AIRFLOW__CELERY__RESULT_BACKEND=f"db+{database}",
            AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD="8",
            AIRFLOW__SERVICE__EXTERNAL_COMMAND_TIMEOUT="5",
            AIRFLOW__SERVICE__EXTERNAL_COMMAND_REQUEST_TIMEOUT="2",
            AIRFLOW_CONN_QUBOLE_DEFAULT=connection(platform, account="main"),
            AIRFLOW_CONN_OTHER=connection(platform, "second", account="other"),
            AIRFLOW_CONN_TINY=connection(platform, account="main"),
            AIRFLOW_CONN_GONE=connection(platform, "third", account="gone"),
            **self.settings,
            **settings,
        )

    def worker(self, site: Site, queues: str) -> Running:
        return self.stack.enter_context(site.start("worker", "-q", queues, "-cn", f"{site.home.name}@%h"))


@pytest.mark.parametrize("broken", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_nodes_that_are_killed_or_cut_off(
    new_site: NewSite, postgres: Postgres, redis: str, installed: Path, stand_in: StandIn, thorough: bool, broken: bool
) -> None:
    """Each task ends as its command does; what runs on is cancelled exactly once, and nothing else is.

    A node without a network lives on, and sees afterwards that its tasks were ended: its connections then go on,
    or are broken.
    """
    settings = {"PYTHONPATH": f"{PLATFORMS}:{extra_packages(installed)}"}
    if not thorough:
        settings["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"] = "forked_runs.CELERY_CONFIG"
    database = postgres.create(f"outside_{broken}".lower())
    with ExitStack() as stack:
        cluster = Cluster(stack, new_site, database, redis, stand_in.url, settings)
        site = cluster.machine("scheduler")
        network, lines = Network(stack), Network(stack)
        late_answers, late = lines.relay(stand_in.url)
        # The platform begins that command, and tells its number only when the network is back.
        late_answers.hold_answers()
        cut_off = cluster.machine("cut", network, AIRFLOW_CONN_LATE=connection(late, "fourth", account="late"))
        logs = network.through(f"http://127.0.0.1:{cut_off.settings['AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT']}")
        site.run("initdb")
        scheduler = stack.enter_context(site.start("scheduler"))
        killed = cluster.worker(cluster.machine("killed"), "killed")
        frozen = cluster.worker(cluster.machine("frozen"), "frozen")
        cut = cluster.worker(cut_off, "cut")
        wait_for("the commands", lambda: _all_at_work(site, stand_in), 150, scheduler, killed, frozen, cut)
        assert _is_answered(logs)
        first = {name: _commands(stand_in, name)[0] for name in ENDS}

        _signal(killed, signal.SIGKILL)
        _signal(frozen, signal.SIGSTOP)
        network.cut()
        lines.cut()
        for name, state in MEANWHILE.items():
            stand_in.commands.tell(first[name].id, state)
        out_of_reach = stand_in.faults.add(Fault("nothing", account="gone"))
        assert not _is_answered(logs)
        cluster.worker(cluster.machine("spare"), "killed,cut")
        wait_for("the second tries", lambda: _tried_again(stand_in), 120, scheduler)
        second = {name: _commands(stand_in, name)[1] for name in RETRIED}
        assert {first[name].status for name in RETRIED} == {"cancelled"}
        wait_for("the zombies' ends", lambda: _ended(site, {*ENDS} - {*RETRIED}), 120, scheduler)

        network.restore(broken=broken)
        lines.restore()
        _signal(frozen, signal.SIGCONT)
        with ThreadPoolExecutor() as pool:
            swept = pool.submit(_reconcile, site)
            wait_for("the end of what was cut off", lambda: not _at_work(cut, frozen), 60, scheduler, cut, frozen)
            assert _is_answered(logs)
            for command in second.values():
                stand_in.commands.tell(command.id, "done")
            wait_for("the retries' success", lambda: _ended(site, {*RETRIED}), 60, scheduler)
            assert "open for" in swept.result()
            out_of_reach.times = 0
            list(pool.map(_reconcile, [site, site]))
        assert site.task_states("outside") == {**STATES, "after": "success"}
    assert {name: command.cancels for name, command in first.items()} == CANCELS
    assert {command.cancels for command in second.values()} == {0}
    assert len(stand_in.commands) == len(first) + len(second)
    fails = dict(site.query("SELECT task_id, count(*) FROM task_fail GROUP BY task_id"))
    assert fails == {name: 1 for name, state in STATES.items() if state == "failed" or name in RETRIED}
    assert site.query("SELECT count(*) FROM external_command WHERE ended IS NULL") == [(0,)]


def _all_at_work(site: Site, stand_in: StandIn) -> bool:
    """Whether each task has begun its command, and stored its id, if it has got it."""
    if {each.given["name"] for each in stand_in.commands} != set(ENDS):
        return False
    noted = {name for (name,) in site.query("SELECT task_id FROM external_command")}
    return noted == set(ENDS) - {"cut_at_its_start"}


def _commands(stand_in: StandIn, name: str) -> list[Command]:
    return [each for each in stand_in.commands if each.given["name"] == name]


def _tried_again(stand_in: StandIn) -> bool:
    return all(len(_commands(stand_in, name)) > 1 for name in RETRIED)


def _ended(site: Site, names: set[str]) -> bool:
    states = site.task_states("outside")
    return states["after"] == "success" and {"success", "failed"}.issuperset(states[name] for name in names)


def _reconcile(site: Site) -> str:
    return site.run("reconcile", command="airflow-service", check=False).stdout


def _is_answered(log_server: str) -> bool:
    """Whether a node's log server answers, be it that this is no request for a log."""
    try:
        return requests.get(log_server, timeout=2).status_code > 0
    except requests.RequestException:
        return False


def _signal(node: Running, number: signal.Signals) -> None:
    """Send it to a worker and to all that it has started, as a power cut would hit them."""
    for pid in [node.process.pid, *node.descendants()]:
        os.kill(pid, number)


def _at_work(*nodes: Running) -> bool:
    """Whether a task is still run on one of them."""
    titles = []
    for pid in (pid for node in nodes for pid in node.descendants()):
        try:
            titles.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
    return any(b"airflow task runner" in title for title in titles)
