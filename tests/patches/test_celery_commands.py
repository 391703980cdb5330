"""Worker, Flower and executor on Celery 5, over a broker made of files."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from urllib.request import urlopen

from airflow_process import PatchedAirflow
from running import answered, free_port, until

# Stands for `airflow` in the worker: it says with what it was called.
_COMMAND = """#!/bin/sh
echo "$@" > "$AIRFLOW_HOME/called"
"""


def _settings(airflow: PatchedAirflow) -> dict[str, str]:
    messages = airflow.home / "messages"
    messages.mkdir()
    commands = airflow.home / "bin"
    commands.mkdir()
    (commands / "airflow").write_text(_COMMAND)
    (commands / "airflow").chmod(0o755)
    return {
        "PATH": f"{commands}:/usr/bin:/bin",
        "AIRFLOW__CELERY__BROKER_URL": "filesystem://",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+sqlite:///{airflow.home}/results.db",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__DATA_FOLDER_IN": str(messages),
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__DATA_FOLDER_OUT": str(messages),
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__CONTROL_FOLDER": str(airflow.home / "control"),
    }


@contextmanager
def _started(
    airflow: PatchedAirflow, settings: dict[str, str], *argv: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = airflow.home / f"{argv[0]}.log"
    script = airflow.tree / "airflow" / "bin" / "airflow"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(airflow.interpreter), str(script), *argv],
            env=airflow.environment(**settings),
            cwd=airflow.home,
            stdout=output,
            stderr=output,
        )
        try:
            yield process, log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_worker_runs_a_task(airflow_db: PatchedAirflow) -> None:
    """The worker takes what the executor sends, runs it, reports success, and ends on SIGTERM."""
    settings = _settings(airflow_db)
    send = dedent(
        """
        from airflow.executors.celery_executor import execute_command
        result = execute_command.apply_async(args=[["airflow", "run", "a", "b"]], queue="default")
        print(result.get(timeout=90, interval=0.2), result.state)
        """
    )
    argv = ("worker", "--skip_serve_logs", "--celery_hostname", "w@test")
    with _started(airflow_db, settings, *argv) as (process, log):
        until(lambda: "w@test ready" in log.read_text(), process, log)
        sent = airflow_db.python(send, **settings)
        assert sent.stdout.split()[-2:] == ["None", "SUCCESS"], log.read_text()
        assert process.poll() is None
    assert (airflow_db.home / "called").read_text() == "run a b\n"
    assert process.returncode == 0
    assert "w@test" in log.read_text()


def test_flower_answers(airflow_db: PatchedAirflow) -> None:
    """Flower comes up at its prefix, and no process shows the broker's URL."""
    port = free_port()
    argv = ("flower", "--hostname", "127.0.0.1", "--port", str(port), "--url_prefix", "flower")
    with _started(airflow_db, _settings(airflow_db), *argv) as (process, log):
        until(lambda: answered(f"http://127.0.0.1:{port}/flower/"), process, log)
        with urlopen(f"http://127.0.0.1:{port}/flower/", timeout=30) as page:
            links = re.findall(r'(?:href|src)="(/[^"]+)"', page.read().decode())
        assert links
        assert [link for link in links if not link.startswith("/flower/")] == []
        style = next(link for link in links if ".css" in link)
        assert answered(f"http://127.0.0.1:{port}{style}")
        assert b"filesystem:" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_transport_is_imported_at_start(airflow: PatchedAirflow) -> None:
    """The processes that send tasks find the broker's transport imported already."""
    code = dedent(
        """
        import sys
        from airflow.executors.celery_executor import CeleryExecutor
        assert "kombu.transport.redis" not in sys.modules
        CeleryExecutor().start()
        assert "kombu.transport.redis" in sys.modules
        """
    )
    airflow.python(code, AIRFLOW__CELERY__BROKER_URL="redis://127.0.0.1:1/0")
