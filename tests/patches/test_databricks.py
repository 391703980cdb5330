"""Databricks' operators, by their hook, against the stand-in, over https."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow_process import patched
from harness.certificates import loopback_certificate
from harness.conversation import Conversation, conversation
from harness.platforms import StandIn, registered, serving

from stand_in import Fault, Plan

_PREAMBLE = """
import threading, time
from airflow.contrib.operators import databricks_operator
from airflow.hooks.base_hook import BaseHook
from airflow_service.external_commands import registry
class Instance:
    def __init__(self): self.pushed = {}
    def xcom_push(self, key, value): self.pushed[key] = value
def made(**given):
    return databricks_operator.DatabricksSubmitRunOperator(
        task_id="t", json={"run_name": "n"}, polling_period_seconds=0.1, **given)
"""
Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def _platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, Path]]:
    context, trusted = loopback_certificate(tmp_path_factory.mktemp("certificate"))
    with serving({"first": "one"}, https=context) as running:
        yield running, trusted


@pytest.fixture(scope="module")
def process(
    _platform: tuple[StandIn, Path], tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path,
    airflow_interpreter: Path,
) -> Iterator[Conversation]:  # fmt: skip
    """The patched tree, with a connection to an account."""
    home = patched(tmp_path_factory.mktemp("databricks"), airflow_tree, airflow_interpreter)
    platform, trusted = _platform
    host = quote(platform.url.removeprefix("https://"), "")
    settings = {
        "AIRFLOW_CONN_DATABRICKS_DEFAULT": f"databricks://?token=first&host={host}",
        "REQUESTS_CA_BUNDLE": str(trusted),
        **registered(airflow_tree, home.home),
    }
    with conversation(home, **settings) as running:
        yield running


@pytest.fixture
def platform(_platform: tuple[StandIn, Path]) -> StandIn:
    _platform[0].clear()
    return _platform[0]


@pytest.fixture
def ask(process: Conversation, platform: StandIn) -> Ask:
    return lambda code: process.ask(_PREAMBLE + code)


@pytest.mark.every_python
def test_run_id_is_kept(platform: StandIn, ask: Ask) -> None:
    """The id is pushed at once, also without do_xcom_push; the page's address only with it."""
    platform.commands.default = Plan(0.2)
    kept = ask("""
instances = Instance(), Instance()
for instance, push in zip(instances, (False, True)):
    made(do_xcom_push=push).execute({"ti": instance})
told([instance.pushed for instance in instances])
""")
    first, second = (command.id for command in platform.commands)
    assert kept == [{"run_id": first}, {"run_id": second, "run_page_url": f"{platform.url}/?o=1#job/7/run/1"}]


def test_killed_task_cancels(platform: StandIn, ask: Ask) -> None:
    """A killed task's run is cancelled; one that was not submitted needs none."""
    platform.commands.default = Plan(None)
    ask("""
made().on_kill()
task = made()
def run():
    try:
        task.execute({"ti": Instance()})
    except Exception:
        pass
thread = threading.Thread(target=run, daemon=True)
thread.start()
while task.run_id is None:
    time.sleep(0.05)
task.on_kill()
thread.join()
""")
    assert [(command.status, command.cancels) for command in platform.commands] == [("cancelled", 1)]


def test_as_a_platform(platform: StandIn, ask: Ask) -> None:
    """The platform asks where the hook does: the state of the run that the task has submitted, and its page."""
    platform.commands.default = Plan(0)
    told = ask("""
instance, task = Instance(), made()
task.execute({"ti": instance})
platform = registry.of_task(task)
connection = BaseHook.get_connection(platform.connection_id(task))
run = platform.parse_id(instance.pushed[platform.xcom_key])
state = platform.client(connection, 2, 5).state(run)
told([platform.name, state.name, platform.page_url(connection, run)])
""")
    assert told == ["databricks", "SUCCEEDED", f"{platform.url}/?o=1#job/7/run/1"]


def test_a_kill_waits_for_the_id(platform: StandIn, ask: Ask) -> None:
    """A kill while a run is submitted comes after its id is pushed."""
    platform.commands.default = Plan(None)
    platform.faults.add(Fault("slow", method="POST", path="runs/submit", delay=0.5))
    pushed = ask("""
import os, signal
class Killed(Exception): pass
def killed(number, frame): raise Killed
before = signal.signal(signal.SIGTERM, killed)
instance = Instance()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    made().execute({"ti": instance})
except Killed:
    told(instance.pushed)
finally:
    signal.signal(signal.SIGTERM, before)
""")
    assert pushed == {"run_id": next(iter(platform.commands)).id}
