"""Tests of the demo's own parts: what it holds while it runs, and how it stops what it started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness.environments import ROOT, release

from demo.__main__ import edge_of
from demo.holding import hold, remove_free
from demo.log_store import LogStore, LogStoreFailed
from demo.processes import stop
from demo.site import Demo

# A service with a child in a session of its own and one in its group that does not mind SIGTERM.
SERVICE = """
import signal, subprocess, sys, time
own = subprocess.Popen(["sleep", "600"], start_new_session=True)
deaf = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
print(own.pid, deaf.pid, flush=True)
if "leave" in sys.argv:
    sys.exit()
time.sleep(600)
"""


def living(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("mode", ["stay", "leave"])
def test_all_that_a_service_started_is_stopped(mode: str) -> None:
    """Also what does not end when asked; of a leader that has ended already, what stayed in its session."""
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, mode], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert service.stdout is not None
    own, deaf = map(int, service.stdout.readline().split())
    service.stdout.close()
    try:
        if mode == "leave":
            service.wait(30)
        stop(service, 1)
        assert service.poll() is not None
        assert not living(deaf)
        # Nothing tells any more who started it.
        assert living(own) == (mode == "leave")
    finally:
        for pid in (own, deaf):
            if living(pid):
                os.kill(pid, 9)


def test_a_folder_that_is_held_stays(tmp_path: Path) -> None:
    """Until its process is gone, even a killed one."""
    held, free = tmp_path / "home-1", tmp_path / "home-2"
    for folder in (held, free):
        folder.mkdir()
    code = (
        "import sys, time; from pathlib import Path; from demo.holding import hold\n"
        "hold(Path(sys.argv[1])); print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, held], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        remove_free(tmp_path, "home*")
        assert [*tmp_path.iterdir()] == [held]
        # Two may hold one, as two demos do an environment.
        begun = time.monotonic()
        hold(held)
        assert time.monotonic() - begun < 5
        other.kill()
    remove_free(tmp_path, "home*")
    assert [*tmp_path.iterdir()] == [held]


def test_without_nginx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and goes on without a proxy, a prefix and a CDN."""
    demo = Demo(tmp_path, tmp_path, 1234, edge_of(None, tmp_path, 0), "http://127.0.0.1:1")
    assert "nginx is not installed" in capsys.readouterr().out
    assert demo.url == "http://127.0.0.1:1234"
    assert demo.settings["AIRFLOW__SERVICE__CDN_URL"] == ""
    assert "AIRFLOW__WEBSERVER__AUTH_BACKEND" not in demo.settings


def test_with_nginx(tmp_path: Path) -> None:
    """The webserver is told the address of nginx, and where its assets are."""
    edge = edge_of("nginx", tmp_path, 0)
    assert edge is not None
    demo = Demo(tmp_path, tmp_path, 1234, edge, "http://127.0.0.1:1")
    assert demo.settings["AIRFLOW__WEBSERVER__BASE_URL"] == f"http://127.0.0.1:{edge.port}/airflow-demo"
    assert demo.settings["AIRFLOW__WEBSERVER__WEB_SERVER_PORT"] == "1234"
    assert demo.settings["AIRFLOW__SERVICE__CDN_URL"] == f"http://127.0.0.1:{edge.cdn}"
    assert demo.settings["AIRFLOW__WEBSERVER__AUTH_BACKEND"] == "airflow_service.gateway"
    assert demo.settings["AIRFLOW__SERVICE__GATEWAY_ISSUER"] == f"http://127.0.0.1:{edge.port}/gateway"
    assert f"127.0.0.1:{edge.gateway}/" in demo.settings["AIRFLOW__SERVICE__GATEWAY_KEYS"]


def test_with_an_s3_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow finds the server's key by itself, and none of the user's own; the webserver has no task's log on disk."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's")
    logs = LogStore.below(tmp_path, Path("weed"))
    demo = Demo(tmp_path, tmp_path, 1234, None, "http://127.0.0.1:1", logs)
    assert "AWS_SECRET_ACCESS_KEY" not in demo.settings
    assert logs.secret not in demo.settings.values()
    file = Path(demo.settings["AWS_SHARED_CREDENTIALS_FILE"])
    assert f"aws_secret_access_key = {logs.secret}\n" in file.read_text()
    assert file.parent.stat().st_mode & 0o077 == 0
    assert demo.settings["AIRFLOW__CORE__REMOTE_LOGGING"] == "True"
    folder = "AIRFLOW__CORE__BASE_LOG_FOLDER"
    assert demo.webserver_settings[folder] != demo.settings.get(folder)


def test_an_s3_server_that_ends(tmp_path: Path) -> None:
    """The demo says so at once, with an exit code of its own."""
    logs = LogStore.below(tmp_path, Path("/bin/false"))
    with pytest.raises(LogStoreFailed, match="does not answer"), logs.serve():
        pass


def test_without_an_s3_server(tmp_path: Path) -> None:
    """Where it cannot be installed the demo says why, and goes on with logs on this machine."""
    for folder in ("builder", "demo", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    no_index = {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "from demo.log_store import log_store; from pathlib import Path; print(log_store(Path('home')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, **no_index},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "without an S3 server, this demo's logs stay on this machine\nNone\n"
    assert "error: the demo environment cannot be made" in done.stderr


@pytest.mark.parametrize("module", ["demo", "benchmarks"])
def test_without_a_build(module: str, tmp_path: Path) -> None:
    """Exit code 30, and what to run."""
    for folder in ("builder", "demo", "benchmarks", "patches", "stand_in"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    # The folder that a module was found in is its checkout, so it is copied.
    (tmp_path / module).unlink()
    shutil.copytree(ROOT / module, tmp_path / module)
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 30, done.stderr
    assert f"there is no {release().wheel_name} in {tmp_path / 'dist'}" in done.stderr
    assert "next: make dist" in done.stderr
