"""Task logs on S3: this distribution's handler beside the released one, against the same local S3 server.

A 100 MB log may take half as long to be whole on S3 after its task's end, and a tenth of the memory. With
TMPDIR=/dev/shm the server writes to memory: otherwise a slow disk is what is measured.
A line may cost 10 µs more than with a plain FileHandler, at 10,000 lines a second. An hour of steady
logging may take 400 PUTs (in a hundredth of the time: all waits are cut to that), and a gigabyte 32 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.in_wheel import ROOT
from benchmarks.table import Row, show

sys.path.append(str(ROOT / "tests"))

from harness.faulty_proxy import faulty_proxy
from harness.s3 import S3Server, server

UPLOAD, MEMORY, LINE, PUTS, GIGABYTE = 0.5, 0.1, 10.0, 400, 32.0
"""Ratios; microseconds; a number; megabytes."""

# Runs where the wheel is installed: argv is what to measure, a folder, and how much.
_MEASURE = r"""
import datetime, json, logging, os, resource, sys, time, types
import airflow  # first: it sets its handlers up
what, base, url, amount = *sys.argv[1:4], int(sys.argv[4])
kind, _, what = what.partition(":")
DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
TEMPLATE = "{dag_id}/{task_id}/{execution_date}/{try_number}.log"
ti = types.SimpleNamespace(dag_id="dag", task_id=f"{kind}-{what}-{os.getpid()}", execution_date=DAY, try_number=1,
                           raw=False)
line = ("2026-01-01 00:00:00,000 INFO - " + "x" * 68 + "\n").encode()

def make():
    if kind == "plain":
        made = logging.FileHandler(os.path.join(base, "plain.log"))
    elif kind == "released":
        from airflow.utils.log.s3_task_handler import S3TaskHandler
        made = S3TaskHandler(base, url, TEMPLATE)
    else:
        from airflow_service.task_logs.handler import S3TaskHandler
        made = S3TaskHandler(base, url, TEMPLATE)
    made.setFormatter(logging.Formatter("[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s"))
    return made

def path():
    return os.path.join(base, ti.dag_id, ti.task_id, DAY.isoformat(), "1.log")

def write(size, rate):
    block = line * (1_000_000 // len(line))
    began, written = time.monotonic(), 0
    with open(path(), "ab", 0) as file:
        while written < size:
            file.write(block)
            written += len(block)
            if rate:
                time.sleep(max(0, began + written / rate - time.monotonic()))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

handler = make()
if what in ("end", "burst"):
    # What both load is no part of the log's memory: a first small log brings it.
    first = types.SimpleNamespace(**{**vars(ti), "task_id": ti.task_id + "-first"})
    handler.set_context(first)
    handler.emit(logging.LogRecord("a", 20, "f", 1, "first", (), None))
    handler.close()
    handler = make()
    handler.set_context(ti)
    time.sleep(2.5)
    before = peak()
    write(amount, 4_000_000 if what == "end" else 0)  # 40,000 lines a second
    began, process = time.perf_counter(), time.process_time()
    handler.close()
    seconds, busy = time.perf_counter() - began, time.process_time() - process
    print(json.dumps({"seconds": seconds, "cpu": busy, "megabytes": peak() - before}))
elif what == "line":
    if kind != "plain":
        handler.set_context(ti)
        time.sleep(2.5)
    if kind == "ours":
        from airflow_service.task_logs.secrets import remember
        remember(*(f"secret-of-a-connection-{n}" for n in range(10)))
    log = logging.getLogger("measured")
    log.propagate = False
    log.setLevel(20)
    log.addHandler(handler)
    began, process, mine = time.perf_counter(), time.process_time(), 0
    for number in range(0, amount, 100):
        start = time.thread_time()
        for one in range(100):
            log.info("%s line %d", "x" * 60, number + one)
        mine += time.thread_time() - start
        time.sleep(max(0, began + (number + 100) / 10_000 - time.perf_counter()))
    print(json.dumps({"task": mine / amount * 1e6, "process": (time.process_time() - process) / amount * 1e6}))
    logging.raiseExceptions = False
    handler.close()
elif what == "hour":
    from airflow_service.task_logs import shipper
    shipper.HOLD, shipper.LOOK, shipper._FIRST = shipper.HOLD / 100, shipper.LOOK / 100, shipper._FIRST / 100
    handler.set_context(ti)
    began = time.monotonic()
    while time.monotonic() - began < 36:
        handler.emit(logging.LogRecord("a", 20, "f", 1, "steady", (), None))
        time.sleep(0.002)
    handler.close()
    print(json.dumps({}))
"""


def measure(arguments: argparse.Namespace, s3: S3Server, url: str, what: str, amount: int = 0) -> Any:
    """What one process measures."""
    with tempfile.TemporaryDirectory() as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        environment = {
            **kept,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__REMOTE_LOGGING": "True",
            "AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": url,
            "AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": s3.url,
            # The release takes a connection, and ours the environment's keys.
            "AIRFLOW__CORE__REMOTE_LOG_CONN_ID": "logs" if what.startswith("released") else "",
            "AIRFLOW_CONN_LOGS": f"s3://admin:admin-secret@/?host={quote(s3.url, safe='')}",
            "AWS_DEFAULT_REGION": "us-east-1",
            **s3.keys(),
        }
        if arguments.tree:
            environment["PYTHONPATH"] = str(arguments.tree)
        argv = [str(arguments.python), "-c", _MEASURE, what, f"{home}/logs", url, str(amount)]
        Path(home, "logs").mkdir()
        done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="measurements of each (default: 3)")
    parser.add_argument("--megabytes", type=int, default=100, help="size of the log (default: 100)")
    parser.add_argument("--lines", type=int, default=100_000, help="lines at 10,000 a second (default: 100000)")
    parser.add_argument("--python", type=Path, help="an interpreter with the wheel (default: that of dist/)")
    parser.add_argument("--tree", type=Path, help="a patched tree in place of the wheel's Airflow")
    arguments = parser.parse_args(argv)
    if arguments.python is None:
        from builder.release import select_release
        from builder.workspace import Workspace
        from demo.environment import install

        workspace = Workspace(ROOT)
        arguments.python = install(workspace, select_release(workspace.patches, None)) / "bin" / "python"
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, and return how many limits were passed."""
    arguments = parse(argv)
    size = arguments.megabytes * 1_000_000
    with server() as s3:
        url = f"s3://{s3.bucket()}/logs"
        found: dict[str, list[Any]] = {}
        for _ in range(arguments.runs):
            for what in ("ours:end", "released:end", "ours:burst", "released:burst"):
                found.setdefault(what, []).append(measure(arguments, s3, url, what, size))
            for what in ("ours:line", "plain:line"):
                found.setdefault(what, []).append(measure(arguments, s3, url, what, arguments.lines))
        gigabyte = measure(arguments, s3, url, "ours:burst", 10 * size)
        with faulty_proxy(s3.url) as proxy:
            measure(arguments, S3Server(proxy.url), url, "ours:hour")
            puts = proxy.count("PUT")

    def row(name: str, what: str, other: str, of: str, limit: float | None = None, unit: str = "s") -> Row:
        return Row(name, [one[of] for one in found[what]], [one[of] for one in found[other]], limit, unit)

    name = f"{arguments.megabytes} MB"
    end, burst, line = ("ours:end", "released:end"), ("ours:burst", "released:burst"), ("ours:line", "plain:line")
    rows = [
        row(f"{name}: from the task's end to whole", *end, "seconds", UPLOAD),
        row(f"{name}, written in a moment: the same", *burst, "seconds", UPLOAD),
        # What is left where the store has processors of its own.
        row(f"{name}, written in a moment: CPU of the task's side", *burst, "cpu", None),
        row(f"{name}: memory", *end, "megabytes", MEMORY, "MB"),
        row(f"{name}, written in a moment: memory", *burst, "megabytes", MEMORY, "MB"),
        row("a line, in the task's thread", *line, "task", None, "µs"),
        row("a line, with its way to S3", *line, "process", None, "µs"),
    ]
    more = statistics.median(rows[-1].ours) - statistics.median(rows[-1].other)
    notes = {
        "a line costs more than with a FileHandler by": f"{more:.1f} µs, shipping included; limit {LINE:.0f}",
        "PUTs in an hour of steady logging": f"{puts}; limit {PUTS}",
        f"memory for {10 * size / 1e9:.1f} GB": f"{gigabyte['megabytes']:.0f} MB; limit {GIGABYTE:.0f}",
    }
    picture = ROOT / ".build" / "benchmarks" / "task_logs.svg"
    past = show("Task logs on S3, ours and the release's", rows, notes, picture)
    wrong = [more > LINE, puts > PUTS, gigabyte["megabytes"] > GIGABYTE]
    return past + sum(wrong)


if __name__ == "__main__":
    sys.exit(main())
