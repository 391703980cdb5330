"""What 200 zombies at once cost the scheduler, if each has a command on an outside platform.

One pass over their DAG file (`SchedulerJob.process_file`), whose zombies' commands run and so are cancelled, against
the same pass with zombies of an operator without commands. The platform answers after 0.1 s, or not at all. Either may
take one time-out more than the pass without.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from benchmarks.in_wheel import ROOT, measured, parse_arguments
from benchmarks.table import Row, show
from stand_in import Plan, serving

TIMEOUT = 10.0
LATENCY = 0.1
NONE, ANSWERS, SILENT = (
    "without commands",
    "a platform that answers after 0.1 s",
    "a platform that does not answer",
)

# Runs where the wheel is installed.
_MEASURE = """
import json, os, socket, sys, time
from pathlib import Path
from urllib.parse import quote
runs, count, platforms, url, timeout, *kinds = sys.argv[1:]
sys.path.insert(0, platforms)
silent = socket.create_server(("127.0.0.1", 0), backlog=1024)  # it takes connections, and says nothing
os.environ |= {
    "AIRFLOW__SERVICE__EXTERNAL_COMMAND_TIMEOUT": timeout,
    "AIRFLOW__SERVICE__EXTERNAL_COMMAND_REQUEST_TIMEOUT": "2",
    "AIRFLOW_CONN_ANSWERS": "http://:stand-in-token@" + quote(url + "/api", ""),
    "AIRFLOW_CONN_SILENT": "http://:x@" + quote(f"http://127.0.0.1:{silent.getsockname()[1]}", ""),
}
from airflow import settings
from airflow.hooks.base_hook import BaseHook
from airflow.jobs import SchedulerJob
from airflow.models import DagBag, TaskInstance
from airflow.utils import db, timezone
from airflow.utils.dag_processing import SimpleTaskInstance
from airflow.utils.state import State
from tiny_platform import Client
db.initdb()
DAY = timezone.datetime(2024, 1, 1)
file = Path(os.environ["AIRFLOW_HOME"], "zombies.py")

def prepared(kind, run):
    operator = "BashOperator(bash_command='true', " if kind == "none" else f"TinyOperator(conn_id={kind!r}, "
    file.write_text("from airflow import DAG\\nfrom airflow.operators.bash_operator import BashOperator\\n"
        "from airflow.utils.timezone import datetime\\nfrom tiny_platform import TinyOperator\\n"
        f"dag = DAG('{kind}{run}', start_date=datetime(2024, 1, 1), schedule_interval=None)\\n"
        f"for n in range({count}): {operator}task_id=f't{{n}}', dag=dag, owner='o')\\n")
    (dag,) = DagBag(str(file), include_examples=False).dags.values()
    dag.sync_to_db()
    dag.create_dagrun("manual__1", State.RUNNING, execution_date=DAY)
    session = settings.Session()
    instances = session.query(TaskInstance).filter(TaskInstance.dag_id == dag.dag_id).all()
    client = None if kind == "none" else Client(BaseHook.get_connection("answers"), 5, 5)
    for instance in instances:
        instance.state, instance.start_date, instance._try_number = State.RUNNING, timezone.utcnow(), 1
    session.commit()
    for instance in instances:
        instance.task = dag.get_task(instance.task_id)
        if client is not None:
            instance.xcom_push("tiny_id", client.start(name=dag.dag_id))
    return dag, [SimpleTaskInstance(instance) for instance in instances]

def seconds(kind, run):
    dag, zombies = prepared(kind, run)
    job = SchedulerJob(dag_ids=[])
    began = time.monotonic()
    job.process_file(str(file), zombies)
    taken = time.monotonic() - began
    mine = settings.Session().query(TaskInstance).filter(TaskInstance.dag_id == dag.dag_id)
    states = {instance.state for instance in mine}
    assert states == {State.FAILED}, states
    return taken

found = {kind: [] for kind in kinds}
seconds("none", "first")
for run in range(int(runs)):
    for kind in kinds:
        found[kind].append(seconds(kind, run))
print()
print(json.dumps(found))
"""


def main() -> int:
    """Measure in turn; returns how many rows are past their limit."""
    arguments = parse_arguments(__doc__, runs=3, calls=200, of="zombies")
    with serving() as platform:
        platform.latency = LATENCY
        platform.commands.default = Plan(seconds=None)
        samples = str(Path(ROOT, "tests", "samples", "platforms"))
        kinds = {"none": NONE, "answers": ANSWERS, "silent": SILENT}
        taken = measured(arguments, _MEASURE, samples, platform.url, f"{TIMEOUT:g}", *kinds)
        cancels = [
            command.cancels for command in platform.commands if "answers" in str(command.given["name"])
        ]
    if set(cancels) != {1}:
        print(f"commands were cancelled {sorted(set(cancels))} times, and not once each")
        return 1
    bare = statistics.median(taken["none"])
    rows = [
        Row(kinds[kind], taken[kind], taken["none"], limit=(bare + TIMEOUT) / bare)
        for kind in ("answers", "silent")
    ]
    notes = {
        "the other side": f"the same pass over a file with {arguments.calls} zombies {NONE}",
        "time-out": f"{TIMEOUT:g} s; one after the other, {arguments.calls} commands would take "
        f"{arguments.calls * 3 * LATENCY:.0f} s with answers, and {arguments.calls * TIMEOUT / 60:.0f} min without",
        "cancels": f"{len(cancels)} commands, each exactly once",
    }
    return show("200 zombies of one DAG file", rows, notes, ROOT / ".build" / "benchmarks" / "zombies.svg")


if __name__ == "__main__":
    sys.exit(main())
