"""Qubole's operators, hooks and sensors, by its real SDK, against the stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_process import patched
from harness.conversation import Conversation, conversation
from harness.platforms import StandIn, connection, serving

from stand_in import Plan

# A task's context, without a database.
_PREAMBLE = """
import json, sys, threading, time, urllib.request
from airflow import DAG
from airflow.contrib.operators.qubole_operator import QuboleOperator
from airflow.utils.timezone import datetime
dag = DAG("d", start_date=datetime(2026, 1, 1))
class Instance:
    task_id = "t"
    def __init__(self, id=None): self.pushed = {} if id is None else {"qbol_cmd_id": id}
    def xcom_push(self, key, value): self.pushed[key] = value
    def xcom_pull(self, key, task_ids): return self.pushed.get(key)
def made(task_id="t", operator=QuboleOperator, **given):
    return operator(task_id=task_id, dag=dag, **given)
def context(instance=None):
    return {"run_id": "r", "task_instance": instance or Instance(), "ti": instance}
def commands():
    return json.load(urllib.request.urlopen(URL + "/_control/commands"))
"""
Ask = Callable[[str], Any]




@pytest.fixture(scope="module")
def _platform() -> Iterator[StandIn]:
    with serving({"first": "one", "second": "two"}) as running:
        yield running


@pytest.fixture
def platform(_platform: StandIn) -> StandIn:
    _platform.clear()
    _platform.commands.default = Plan(0)
    return _platform


@pytest.fixture(scope="module")
def process(
    _platform: StandIn, tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path
) -> Iterator[Conversation]:
    """The patched tree, with connections to two accounts."""
    home = patched(tmp_path_factory.mktemp("qubole"), airflow_tree, airflow_interpreter)
    connections = {
        "AIRFLOW_CONN_QUBOLE_DEFAULT": connection(_platform.url, "first"),
        "AIRFLOW_CONN_SECOND": connection(_platform.url, "second", f"{_platform.url}/api/"),
    }
    with conversation(home, **connections) as running:
        yield running


@pytest.fixture
def ask(process: Conversation, platform: StandIn) -> Ask:
    """Runs code; returns what it told."""
    return lambda code: process.ask(f"URL = {platform.url!r}\n{_PREAMBLE}{code}")


_COMMON = {"name": "n", "tags": ["a", "b"], "notify": True}
# What each type is given, and what of it Qubole gets.
_TYPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hivecmd": (
        {"query": "select 1", "cluster_label": "c", "hive_version": "2.1", "macros": '[{"d": "1"}]', "sample_size": 5},
        {"command_type": "HiveCommand", "query": "select 1", "label": "c", "hive_version": "2.1",
         "macros": [{"d": "1"}], "sample_size": "5"},
    ),
    "prestocmd": (
        {"script_location": "s3://b/q.sql", "cluster_label": "c"},
        {"command_type": "PrestoCommand", "script_location": "s3://b/q.sql", "label": "c"},
    ),
    "hadoopcmd": (
        {"sub_command": "jar s3://b/j.jar main", "cluster_label": "c"},
        {"command_type": "HadoopCommand", "sub_command": "jar", "sub_command_args": "'s3://b/j.jar' 'main'"},
    ),
    "shellcmd": (
        {"script_location": "s3://b/s.sh", "parameters": "one two", "files": "s3://b/f", "archives": "s3://b/a"},
        {"command_type": "ShellCommand", "parameters": "one two", "files": "s3://b/f", "archives": "s3://b/a"},
    ),
    "pigcmd": (
        {"script_location": "s3://b/s.pig", "parameters": "k1=v1 k2=v2"},
        {"command_type": "PigCommand", "parameters": {"k1": "v1", "k2": "v2"}},
    ),
    "sparkcmd": (
        {"program": "print(1)", "language": "python", "arguments": "--conf a=b", "user_program_arguments": "x",
         "app_id": 3, "cluster_label": "c"},
        {"command_type": "SparkCommand", "program": "print(1)", "language": "python", "arguments": "--conf a=b",
         "user_program_arguments": "x", "app_id": 3, "label": "c"},
    ),
    "dbtapquerycmd": (
        {"db_tap_id": 7, "query": "show tables"},
        {"command_type": "DbTapQueryCommand", "db_tap_id": "7", "query": "show tables"},
    ),
    "dbexportcmd": (
        {"mode": 1, "hive_table": "h", "dbtap_id": 7, "db_table": "t", "db_update_mode": "updateonly",
         "db_update_keys": "k"},
        {"command_type": "DbExportCommand", "mode": "1", "hive_table": "h", "dbtap_id": "7", "db_update_keys": "k"},
    ),
    "dbimportcmd": (
        {"mode": 1, "hive_table": "h", "dbtap_id": 7, "db_table": "t", "where_clause": "id < 10", "parallelism": 2},
        {"command_type": "DbImportCommand", "db_where": "id < 10", "db_parallelism": "2"},
    ),
    "sqlcmd": (
        {"query": "select 2", "cluster_label": "c"},
        {"command_type": "SqlCommand", "query": "select 2", "label": "c"},
    ),
}  # fmt: skip


@pytest.mark.every_python
def test_command_types(platform: StandIn, ask: Ask) -> None:
    """Each type that the operator offers becomes a command, with what it was given, and its id is kept."""
    given = {name: {**_COMMON, **fields, "command_type": name} for name, (fields, _) in _TYPES.items()}
    pushed = ask(
        f"pushed = {{}}\nfor name, fields in {given!r}.items():\n"
        "    instance = Instance()\n"
        "    made(name, fetch_logs=True, **fields).execute(context(instance))\n"
        "    pushed[name] = instance.pushed['qbol_cmd_id']\n"
        "told(pushed)"
    )
    for name, (_, expected) in _TYPES.items():
        made = platform.commands[pushed[name]].given
        assert {key: made.get(key) for key in expected} == expected
        assert (made["name"], made["can_notify"]) == ("n", True)
        assert set(made["tags"]) == {"d", name, "r", "a", "b"}
    logs = platform.requests.all("GET", "/logs")
    assert len(logs) == len(_TYPES)


def test_arguments_are_given_once(ask: Ask) -> None:
    """No argument is there twice; tags may be one or several; `notify` has no value."""
    told = ask("""
from airflow.contrib.hooks.qubole_hook import QuboleHook
fields = dict(command_type="hivecmd", query="q", cluster_label="c", hive_version="2", name="n")
told([QuboleHook(task_id="t", dag=dag, qubole_conn_id="qubole_default", **fields, **more).create_cmd_args(context())
      for more in ({"tags": "a", "notify": True}, {"tags": ["a", "b"], "notify": False}, {"tags": ("a", "b")})])
""")
    plain = ["--query=q", "--cluster-label=c", "--hive-version=2", "--name=n"]
    tags = [sorted(arguments.pop().removeprefix("--tags=").split(",")) for arguments in told]
    assert told == [[*plain, "--notify"], plain, plain]
    assert tags == [["a", "d", "r", "t"], ["a", "b", "d", "r", "t"], ["a", "b", "d", "r", "t"]]


@pytest.mark.every_python
def test_log_jobs_and_results(platform: StandIn, ask: Ask) -> None:
    """Log, jobs and results are those of the command, asked by another process or by the one that made it."""
    platform.commands.default = Plan(0, log="a log", jobs=({"job_id": "j"},), results="1\tä\r\n")
    platform.commands.plans = [Plan(0, result_locations=("s3://b/r/1", "s3://b/r/2"), match="big")]
    told = ask("""
instance, big = Instance(), Instance()
task = made(command_type="hivecmd", query="q")
task.execute(context(instance))
made("b", command_type="hivecmd", query="big").execute(context(big))
later = made("later", command_type="hivecmd", query="q")
read = lambda name: open(name, "rb").read().decode()
told([
    [task.hook.get_log(None), later.get_log(instance)],
    [task.hook.get_jobs_id(None), later.get_jobs_id(instance)],
    [read(task.hook.get_results()), read(later.get_results(instance))],
    [read(later.get_results(big, fetch=False)), read(later.get_results(instance, inline=False, fetch=False))],
    later.get_results(instance),
])
""")
    logs, jobs, results, places, name = told
    assert logs == ["a log"] * 2
    assert [json.loads(each) for each in jobs] == [[{"job_id": "j"}]] * 2
    assert results == ["1\tä\r\n"] * 2
    assert places[0] == "s3://b/r/1,s3://b/r/2"
    assert places[1].startswith("s3://stand-in/results/")
    assert "/logs/d/later/results/" in name


def test_results_from_s3(platform: StandIn, ask: Ask, s3: Any) -> None:
    """What is too big for an answer is fetched from S3: objects and folders, with another separator."""
    bucket = s3.bucket()
    objects = {"one": b"1\x012\n", "dir/a": b"a\n", "dir/b": b"b\n", "dir/_$folder$": b"", "dirt": b"no"}
    for key, content in objects.items():
        s3.client().put_object(Bucket=bucket, Key=key, Body=content)
    keys = s3.keys()
    platform.commands.storage = {
        "storage_access_key": keys["AWS_ACCESS_KEY_ID"], "storage_secret_key": keys["AWS_SECRET_ACCESS_KEY"],
        "session_token": None, "region_endpoint": s3.url,
    }  # fmt: skip
    platform.commands.default = Plan(0, result_locations=(f"s3://{bucket}/one", f"s3://{bucket}/dir/"))
    told = ask("""
import io
instance = Instance()
made(command_type="hivecmd", query="q").execute(context(instance))
later = made("later", command_type="hivecmd", query="q")
class Text(io.StringIO):
    name = "x"
    def close(self): pass
text = Text()
later.get_results(instance, fp=text, delim=",")
told([open(later.get_results(instance), "rb").read().decode(), text.getvalue()])
""")
    assert told == ["1\x012\na\nb\n", "1,2\na\nb\n"]


def test_killed_task_cancels(platform: StandIn, ask: Ask) -> None:
    """A killed task's command is cancelled, once; one that was not begun needs none."""
    platform.commands.default = Plan(None)
    left = ask("""
idle = made("idle", command_type="hivecmd", query="q")
idle.on_kill()
task = made(command_type="hivecmd", query="q")
threading.Thread(target=task.execute, args=(context(),), daemon=True).start()
while not (task.hook and task.hook.cmd):
    time.sleep(0.05)
task.on_kill()
told(commands())
""")
    assert [(command["status"], command["cancels"]) for command in left] == [("cancelled", 1)]


def test_killed_from_elsewhere(platform: StandIn, ask: Ask) -> None:
    """Somebody who has a task instance can cancel its command, too."""
    platform.commands.default = Plan(None)
    command = platform.commands.create("one", {})
    ask(f"made(command_type='hivecmd', query='q').on_kill(Instance({command.id}))\ntold(None)")
    assert command.cancels == 1


def test_two_connections_in_one_process(platform: StandIn, ask: Ask) -> None:
    """Hooks of two connections ask their own accounts, in whatever order they are used."""
    told = ask("""
instances = Instance(), Instance()
tasks = [made(f"t{n}", command_type="hivecmd", query="q", qubole_conn_id=each)
         for n, each in enumerate(("qubole_default", "second"))]
for task, instance in zip(tasks, instances):
    task.execute(context(instance))
first, second = (task.hook for task in tasks)
told([hook.get_log(None) for hook in (first, second, first, second)])
""")
    assert len(told) == 4
    accounts = [request.account for request in platform.requests.all("GET")]
    assert accounts == ["one", "two", "one", "two"]
    assert [request.status for request in platform.requests.all()] == [200] * 6


def test_a_new_command_is_not_found_at_first(platform: StandIn, ask: Ask) -> None:
    """A command that cannot be found yet is looked for again; one that is never found fails."""
    platform.commands.default = Plan(0.6, hidden=0.3)
    assert ask("""
from airflow_service.platforms import qubole_sdk
qubole_sdk._PAUSE = 0.1
from qds_sdk.qubole import Qubole
task = made(command_type="hivecmd", query="q")
configure = Qubole.configure
def quickly(**given):
    configure(**given)
    Qubole.poll_interval = 0.05
Qubole.configure = quickly
task.execute(context())
status = task.hook.cmd.status
qubole_sdk._PATIENCE = 0.2
task.hook.cmd.attributes["id"] = 1
try:
    with task.hook.account.calling():
        qubole_sdk.find(task.hook.cmd, time.monotonic())
except Exception as error:
    told([status, type(error).__name__])
""") == ["done", "ResourceNotFound"]
    assert 404 in [request.status for request in platform.requests.all("GET")]


def test_sensors_ask_their_own_account(platform: StandIn, ask: Ask) -> None:
    """A sensor asks the account of its own connection, whoever sets the SDK up meanwhile."""
    assert ask("""
from airflow.contrib.sensors import qubole_sensor
from qds_sdk.qubole import Qubole
class Elsewhere:
    def configure(**given):
        Qubole.configure(api_token="second", api_url=given["api_url"])
qubole_sensor.Qubole = Elsewhere
sensors = [qubole_sensor.QuboleFileSensor, qubole_sensor.QubolePartitionSensor]
told([made(f"s{n}", sensor, data={"is": "present"}).poke({}) for n, sensor in enumerate(sensors)])
""") == [True, True]
    assert [request.account for request in platform.requests.all()] == ["one", "one"]


def test_rendered_fields_stay_in_the_copy(ask: Ask) -> None:
    """Rendering a copy of a task, as Airflow does, leaves the task's own templates as they are."""
    assert ask("""
import copy
from airflow.contrib.operators.qubole_check_operator import QuboleCheckOperator
left = []
for n, operator in enumerate((QuboleOperator, QuboleCheckOperator)):
    task = made(f"t{n}", operator, command_type="hivecmd", query="on {{ ds }}")
    for day in ("1", "2"):
        rendered = copy.copy(task)
        rendered.render_template_fields({"ds": day})
        left.append(rendered.query)
    left.append(task.query)
told(left)
""") == ["on 1", "on 2", "on {{ ds }}"] * 2


def test_callbacks_are_the_authors_own(ask: Ask) -> None:
    """No operator brings a callback, or replaces one; the name of the old one is left, and does nothing."""
    assert ask("""
from airflow.contrib.operators.qubole_check_operator import QuboleCheckOperator, QuboleValueCheckOperator
from airflow.contrib.hooks.qubole_hook import QuboleHook
from airflow.contrib.hooks.qubole_check_hook import QuboleCheckHook
def own(context): pass
mine = {"on_failure_callback": own, "on_retry_callback": own}
kinds = (QuboleOperator, {}), (QuboleCheckOperator, {}), (QuboleValueCheckOperator, {"pass_value": 1})
seen = []
for n, (operator, more) in enumerate(kinds):
    plain = made(f"p{n}", operator, command_type="hivecmd", query="q", **more)
    given = made(f"g{n}", operator, command_type="hivecmd", query="q", **mine, **more)
    seen.append([plain.on_failure_callback, plain.on_retry_callback,
                 given.on_failure_callback is own, given.on_retry_callback is own])
told([seen, QuboleHook.handle_failure_retry({}), QuboleCheckHook.handle_failure_retry({})])
""") == [[[None, None, True, True]] * 3, None, None]


def test_dag_by_its_context(platform: StandIn, ask: Ask) -> None:
    """A task may be given its DAG in each way that there is, and tags its command with it."""
    ask("""
from airflow.contrib.operators.qubole_check_operator import QuboleCheckOperator
with DAG("around", start_date=datetime(2026, 1, 1)) as around:
    tasks = [operator(task_id=f"t{n}", command_type="hivecmd", query="q")
             for n, operator in enumerate((QuboleOperator, QuboleCheckOperator))]
later = QuboleOperator(task_id="later", command_type="hivecmd", query="q")
later.dag = around
for task in [*tasks, later]:
    task.execute(context())
""")
    assert [command.given["tags"].count("around") for command in platform.commands] == [1, 1, 1]


def test_checks(platform: StandIn, ask: Ask) -> None:
    """The check operators run their command, and fail by its results, which they tell."""
    platform.commands.default = Plan(0, results="7\ttrue\r\n")
    platform.commands.plans = [Plan(0, results="0\r\n", match="zero")]
    good, value, bad = ask("""
from airflow.contrib.operators.qubole_check_operator import QuboleCheckOperator, QuboleValueCheckOperator
def outcome(task):
    try:
        return task.execute(context())
    except Exception as error:
        return str(error)
told([
    outcome(made("good", QuboleCheckOperator, command_type="hivecmd", query="q")),
    outcome(made("value", QuboleValueCheckOperator, command_type="hivecmd", query="q", pass_value="7", tolerance=0.1)),
    outcome(made("bad", QuboleCheckOperator, command_type="hivecmd", query="zero")),
])
""")
    assert good is None
    assert "Qubole Command Results" in bad
    assert value is None or "Test failed" in value
