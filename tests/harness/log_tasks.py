"""Forks tasks that log, and sweeps, as it is told on standard input: run by the patched tree's interpreter.

An order is a JSON object a line; the answer has the process's id, and later its end. A task is
two processes, as Airflow runs one: a supervisor, and the task's own, forked from it. Each
notes every line that it has logged in a file of its own, after the handler has come back.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import random
import select
import sys
import time
import types
from pathlib import Path
from typing import Any

DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
answers = 1
TEMPLATE = "{{ ti.dag_id }}/{{ ti.task_id }}/{{ ts }}/{{ try_number }}.log"


class TaskInstance(types.SimpleNamespace):
    """What a handler asks of one."""

    def get_template_context(self) -> dict[str, Any]:
        return {"ti": self, "ts": DAY.isoformat()}


def handler_of(kind: str, base: str, url: str) -> logging.Handler:
    if kind == "released":
        from airflow.utils.log.s3_task_handler import S3TaskHandler as Released

        return Released(base, url, TEMPLATE)
    from airflow_service.task_logs.handler import S3TaskHandler

    return S3TaskHandler(base, url, TEMPLATE)


def run_task(kind: str, order: dict[str, Any]) -> None:
    handler: Any = handler_of(kind, order["base"], order["url"])
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("task")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    ti = TaskInstance(dag_id="dag", task_id=order["task"], execution_date=DAY, try_number=1, raw=False)
    handler.set_context(ti)
    below = os.fork()
    if below == 0:
        ti.raw = True
        handler.set_context(ti)
        speak(log, order, "task")
        handler.close()
        os._exit(0)
    Path(order["notes"] + ".pid").write_text(str(below))
    speak(log, order, "supervisor")
    os.waitpid(below, 0)
    log.info("%s/end", order["name"])
    handler.close()


def speak(log: logging.Logger, order: dict[str, Any], who: str) -> None:
    chance = random.Random(f"{order['name']} {who}")
    notes = os.open(f"{order['notes']}.{who}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in range(order["lines"]):
        line = f"{order['name']}/{who}/{number:04d}/"
        long = order["long"] if who == "task" and number % 7 == 0 else chance.randrange(80)
        log.info("%s%s.", line, "x" * long)
        os.write(notes, f"{line}\n".encode())
        time.sleep(order["pause"] * chance.random())


def sweep(order: dict[str, Any]) -> None:
    from airflow_service.object_store import log_store
    from airflow_service.task_logs import sweep as module

    module.QUIET = 1
    report = module.sweep(store=log_store(), base=Path(order["base"]))
    Path(order["notes"]).write_text(
        json.dumps({"quiet": report.quiet, "failed": report.failed, "live": report.live})
    )


def impatient() -> None:
    """Do in a second what a task does in a minute, and with a log of a megabyte what it does with one of ten."""
    from airflow_service.log_chain import building, merging
    from airflow_service.task_logs import shipment, shipper

    merging.WORTH_IT, building.PART, shipment.LARGEST_SEGMENT = 6 << 20, 5 << 20, 1 << 20
    shipper.HOLD, shipper._FIRST, shipper.PATIENCE, shipper.LOOK = 0.4, 0.1, 3.0, 0.05


def main(kind: str) -> None:
    # Airflow logs to standard output: the answers have a way of their own.
    global answers
    answers = os.dup(1)
    os.dup2(2, 1)
    import airflow
    import boto3  # noqa: F401  # once for all

    handler_of(kind, "/nowhere", "s3://nowhere")
    if kind == "released":
        import airflow.hooks.S3_hook  # noqa: F401
    impatient()
    answer(ready=True)
    waiting = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.05)
        if readable:
            more = os.read(0, 1 << 16)
            if not more:
                return
            *orders, waiting = (waiting + more).split(b"\n")
            for one in orders:
                obey(kind, json.loads(one))
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not ended:
                break
            answer(ended=ended, status=status)


def answer(**what: Any) -> None:
    os.write(answers, f"{json.dumps(what)}\n".encode())


def obey(kind: str, order: dict[str, Any]) -> None:
    pid = os.fork()
    if pid:
        answer(name=order["name"], pid=pid)
        return
    code = 1
    try:
        if order["do"] == "sweep":
            sweep(order)
        else:
            run_task(kind, order)
        code = 0
    except Exception:
        logging.lastResort.handle(  # type: ignore[union-attr]
            logging.LogRecord("harness", logging.ERROR, "", 0, "failed", (), sys.exc_info())
        )
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
