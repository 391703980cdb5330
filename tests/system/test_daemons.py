"""The commands that go on in the background, and the log server, from the installed wheel."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
import requests
from harness.log_tokens import allowed, secret_key
from harness.processes import free_port, listens, wait_for
from harness.site import NewSite, Site, answers

pytestmark = [pytest.mark.slow]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def daemon(site: Site, name: str, *argv: str) -> Iterator[None]:
    """`airflow NAME --daemon`: it comes back at once, is known by its pid file, and ends on TERM."""
    files = {kind: site.home / f"{name}.{kind}" for kind in ("pid", "stdout", "stderr", "log")}
    options = [f"--{kind.replace('log', 'log-file')}={path}" for kind, path in files.items()]
    site.run(name, "--daemon", *options, *argv)
    pid = int(wait_for(f"the pid file of {name}", lambda: _text(files["pid"]), 60))
    try:
        yield
        assert alive(pid), files["stderr"].read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for(f"the end of {name}", lambda: not alive(pid), 60)
    assert not files["pid"].exists()
    assert "Traceback" not in files["stderr"].read_text()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_daemons_run_a_dag(new_site: NewSite) -> None:
    """Scheduler and webserver as daemons: a run to success, pages, and an end that leaves nothing behind."""
    port = free_port()
    site = new_site("daemons", AIRFLOW__WEBSERVER__WEB_SERVER_PORT=str(port))
    site.run("initdb")
    site.run("trigger_dag", "everyday")
    with daemon(site, "scheduler"), daemon(site, "webserver"):
        site.wait_for_run("everyday", "success")
        wait_for("the webserver", lambda: answers(f"http://127.0.0.1:{port}/health"), 120)
    assert not answers(f"http://127.0.0.1:{port}/health")


def test_log_server(new_site: NewSite) -> None:
    """`serve_logs` gives what is below the log folder to who has a token for it, and nothing else."""
    port = free_port()
    site = new_site(
        "logs",
        AIRFLOW__CELERY__WORKER_LOG_SERVER_PORT=str(port),
        AIRFLOW__SERVICE__LOG_SERVER_HOST="127.0.0.1",
    )
    log = site.home / "logs" / "a" / "b" / "1.log"
    log.parent.mkdir(parents=True)
    log.write_text("grün\n")
    url = f"http://127.0.0.1:{port}/log"
    with site.start("serve_logs") as server:
        wait_for("the log server", lambda: listens(port), 60, server)
        key = secret_key(site.home)
        assert requests.get(f"{url}/a/b/1.log", timeout=10).status_code == 403
        good = requests.get(f"{url}/a/b/1.log", headers=allowed("a/b/1.log", key), timeout=10)
        assert good.content == "grün\n".encode()
        for path in ("a/b/2.log", "..%2Fairflow.cfg", "a/..%2F..%2F..%2Fairflow.cfg"):
            token = allowed(unquote(path), key)
            assert requests.get(f"{url}/{path}", headers=token, timeout=10).status_code == 404
