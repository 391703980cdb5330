"""`airflow webserver`: gunicorn, its workers, and the monitor that refreshes them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

from airflow_process import PatchedAirflow
from running import answered, free_port, until


def _children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_webserver_starts_refreshes_and_stops(airflow_db: PatchedAirflow) -> None:
    """In an environment that is not activated it starts, replaces its worker, and ends on SIGTERM.

    A header that tells gunicorn of another prefix changes nothing.
    """
    port = free_port()
    settings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(airflow_db.home),
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__WEBSERVER__WORKER_REFRESH_INTERVAL": "1",
    }
    script = airflow_db.tree / "airflow" / "bin" / "airflow"
    argv = [
        str(airflow_db.interpreter),
        str(script),
        "webserver",
        "--port",
        str(port),
        "--hostname",
        "127.0.0.1",
    ]
    log = airflow_db.home / "webserver.log"
    with log.open("w") as output:
        monitor = subprocess.Popen(
            argv, env=airflow_db.environment(**settings), cwd=airflow_db.home, stdout=output, stderr=output
        )
        try:
            until(lambda: answered(f"http://127.0.0.1:{port}/health"), monitor, log)
            (master,) = _children(monitor.pid)
            first = _children(master)
            until(lambda: _children(master) and not first & _children(master), monitor, log)
            assert answered(f"http://127.0.0.1:{port}/health")
            assert not (airflow_db.home / ".gunicorn").exists()
            forged = Request(f"http://127.0.0.1:{port}/health", headers={"SCRIPT_NAME": "/other"})
            with urlopen(forged, timeout=30) as response:
                assert response.status == 200
        finally:
            monitor.send_signal(signal.SIGTERM)
            code = monitor.wait(60)
    assert code == 0
    assert not Path(f"/proc/{master}").exists()
