"""The stand-in as Qubole's own SDK finds it, over HTTP."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.platforms import StandIn, serving

from stand_in import Fault, Plan

_PREAMBLE = """
import io, json, sys, time
from qds_sdk import commands, exception, sensors
from qds_sdk.qubole import Qubole
def configure(token):
    Qubole.configure(token, api_url=sys.argv[1] + "/api/", base_retry_delay=0, max_retries=2)
configure("first")
hive = lambda text="select 1": commands.HiveCommand.create(query=text)
find = lambda command: commands.Command.find(command.id)
def failing(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
def told(*values):
    print(json.dumps(values))
"""
Ask = Callable[[str], list[Any]]


@pytest.fixture
def platform() -> Iterator[StandIn]:
    with serving({"first": "one", "second": "two"}) as running:
        yield running


@pytest.fixture
def sdk(platform: StandIn, airflow_interpreter: Path) -> Ask:
    """Runs code with the SDK, up to its `told(…)`."""

    def ask(code: str) -> list[Any]:
        argv = [airflow_interpreter, "-c", _PREAMBLE + code, platform.url]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        answer: list[Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    return ask


@pytest.mark.every_python
def test_a_command_runs_and_ends(platform: StandIn, sdk: Ask) -> None:
    """It waits, runs and ends; then there are its log, its results and its jobs."""
    platform.commands.default = Plan(waiting=0.4, seconds=0.8, jobs=({"job_id": "j1"},))
    id_, statuses, log, results, jobs = sdk("""
command, statuses = hive(), []
while not commands.Command.is_done(command.status):
    command = find(command)
    if command.status not in statuses:
        statuses.append(command.status)
    time.sleep(0.05)
rows = io.BytesIO()
command.get_results(rows)
told(command.id, statuses, command.get_log(), rows.getvalue().decode(), commands.Command.get_jobs_id(command.id))
""")
    assert statuses == ["waiting", "running", "done"]
    assert "ended" in log
    assert results == "1\tone\r\n2\ttwo\r\n"
    assert json.loads(jobs) == [{"job_id": "j1"}]
    [command] = platform.commands
    assert command.id == id_
    assert command.given["query"] == "select 1"
    [created] = platform.requests.all("POST")
    assert (created.account, created.path, created.status) == ("one", "/api/v1.2/commands", 200)
    assert created.seconds is not None


def test_plans_by_request(platform: StandIn, sdk: Ask) -> None:
    """How each command ends is decided by what is in its request, or while it runs."""
    platform.commands.plans = [Plan(0, ends="error", match="bad"), Plan(None, match="told")]
    bad, good, told = sdk("told(*(hive(text).id for text in ('bad', 'good', 'told')))")
    platform.commands.plan(good, seconds=0)
    assert [platform.commands[each].status for each in (bad, good, told)] == ["error", "done", "running"]
    platform.commands.tell(told, "cancelled")
    assert sdk(f"told(commands.Command.find({told}).status)") == ["cancelled"]


def test_cancel(platform: StandIn, sdk: Ask) -> None:
    """A cancel takes its time, may be without effect, and each is counted; a finished command stays as it is."""
    platform.commands.plans = [
        Plan(None, cancelling=0.3, match="slow"),
        Plan(None, cancelling=None, match="stubborn"),
        Plan(0, match="ended"),
    ]
    answers, statuses, later = sdk("""
all = [hive(text) for text in ("slow", "stubborn", "ended")]
answers = [commands.Command.cancel_id(each.id)["kill_succeeded"] for each in all]
statuses = [find(each).status for each in all]
time.sleep(0.4)
told(answers, statuses, [find(each).status for each in all])
""")
    assert answers == ["true", "true", "false"]
    assert statuses == ["running", "running", "done"]
    assert later == ["cancelled", "running", "done"]
    assert [command.cancels for command in platform.commands] == [1, 1, 1]


def test_accounts(platform: StandIn, sdk: Ask) -> None:
    """An account finds its own commands alone; without its token nobody does."""
    other, nobody = sdk("""
command = hive()
configure("second")
other = failing(lambda: find(command))
configure("third")
told(other, failing(lambda: find(command)))
""")
    assert other == "ResourceNotFound"
    assert nobody == "UnauthorizedAccess"
    assert [request.account for request in platform.requests.all()] == ["one", "two", ""]


def test_not_found_for_a_while(platform: StandIn, sdk: Ask) -> None:
    """A command that runs may not be found at first."""
    platform.commands.default = Plan(None, hidden=0.5)
    first, second = sdk("""
command = hive()
first = failing(lambda: find(command))
time.sleep(0.6)
told(first, find(command).status)
""")
    assert (first, second) == ("ResourceNotFound", "running")


_FAULTS = {
    "401": (Fault(status=401), "UnauthorizedAccess"),
    "403": (Fault(status=403), "ForbiddenAccess"),
    "404": (Fault(status=404), "ResourceNotFound"),
    "500": (Fault(status=500), "ServerError"),
    "html": (Fault("html"), "ServerError"),
    "truncated": (Fault("truncated"), "ServerError"),
    "nothing": (Fault("nothing"), "ConnectionError"),
    "passing-500": (Fault(status=500, times=2), None),
    "passing-429": (Fault(status=429, times=2), None),
    "slow": (Fault("slow", delay=0.3), None),
    "another-method": (Fault(status=500, method="PUT"), None),
    "another-account": (Fault(status=500, account="two"), None),
    "another-path": (Fault(status=500, path="sensors"), None),
}


def test_faults(platform: StandIn, sdk: Ask) -> None:
    """Each fault is what the SDK takes it for; one that passes is got over by its retries."""
    code = ["import urllib.request\nseen = []"]
    ids = []
    for name in _FAULTS:
        ids.append(platform.commands.create("one", {"fault": name}).id)
    for (fault, _), id_ in zip(_FAULTS.values(), ids, strict=True):
        fault.path = fault.path or f"/{id_}$"
        platform.faults.add(fault)
        code.append(f"seen.append(failing(lambda: commands.Command.find({id_})))")
    seen = sdk("\n".join([*code, "told(*seen)"]))
    assert dict(zip(_FAULTS, seen, strict=True)) == {name: error for name, (_, error) in _FAULTS.items()}
    [slow] = [request for request in platform.requests.all() if request.path.endswith(str(ids[9]))]
    assert slow.seconds is not None
    assert slow.seconds >= 0.3


def test_an_answer_that_is_lost(platform: StandIn, sdk: Ask) -> None:
    """A request may be carried out although its answer is an error."""
    platform.faults.add(Fault(status=500, effect=True, times=1))
    assert sdk("told(failing(hive))") == ["ServerError"]
    assert len(platform.commands) == 1


def test_throttling(platform: StandIn, sdk: Ask) -> None:
    """More requests a second than the limit are answered by 429, and not carried out."""
    platform.limit = 3
    [failed] = sdk("Qubole.max_retries = 0; told([failing(hive) for _ in range(6)])")
    assert failed == [None] * 3 + ["AlwaysRetryWithDelay"] * 3
    assert [request.status for request in platform.requests.all()] == [200] * 3 + [429] * 3
    assert len(platform.commands) == 3


def test_sensors(platform: StandIn, sdk: Ask) -> None:
    """A file or partition is there if it is named so."""
    assert sdk("""
told(sensors.FileSensor.check({"files": ["s3://present"]}), sensors.PartitionSensor.check({"table": "no"}))
""") == [True, False]
