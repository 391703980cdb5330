"""The webserver against the released one: start to first page, and a page of 1,000 DAGs.

The released 1.10.15 runs on Python 3.8 with what its requirements resolved to
in the week of its release (released-py3.8.txt; SQLAlchemy below 1.4, as its
own constraints had it). Ours runs from dist/. Both use SQLite.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import uv

from benchmarks.table import Row, show
from builder.index import pip_settings
from builder.lock import index_options
from builder.release import select_release
from builder.wheelhouse import find_interpreter
from builder.workspace import Workspace, file_sha256
from demo.environment import install

ROOT = Path(__file__).resolve().parent.parent
LOCK = Path(__file__).with_name("released-py3.8.txt")
DAGS = 1000
# The last patch of the port; those after it are about URLs, assets, pages and whatever else is ours.
_PORTED_BY = "state-the-changes.patch"

_DAG_FILE = f"""
from datetime import datetime
from airflow import DAG
from airflow.operators.dummy_operator import DummyOperator

for number in range({DAGS}):
    name = "dag_%04d" % number
    dag = DAG(name, start_date=datetime(2026, 1, 1), schedule_interval=None)
    DummyOperator(task_id="only", dag=dag)
    globals()[name] = dag
"""


@dataclass(frozen=True, slots=True)
class Side:
    """An installed Airflow with a home of its own, in which 1,000 DAGs are known."""

    bin: Path
    home: Path
    tree: Path | None = None
    """Where `airflow` is imported from instead of the installed one."""

    def environment(self, port: int = 0) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))
        }
        return {
            **kept,
            "PATH": f"{self.bin}{os.pathsep}{kept['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__WEBSERVER__PAGE_SIZE": str(DAGS),
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
            "AIRFLOW__WEBSERVER__COOKIE_SAMESITE": "Lax",
            **({"PYTHONPATH": str(self.tree)} if self.tree else {}),
        }

    def prepare(self) -> None:
        """Make the database, and let it know the DAGs."""
        (self.home / "dags").mkdir(parents=True)
        (self.home / "dags" / "many.py").write_text(_DAG_FILE)
        command = [str(self.bin / "airflow"), "initdb"]
        subprocess.run(command, env=self.environment(), check=True, capture_output=True)

    def measure(self, pages: int) -> tuple[float, list[float]]:
        """Seconds from the start to the first page, and of each further index page."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        begun = time.monotonic()
        process = subprocess.Popen(
            [str(self.bin / "airflow"), "webserver"],
            env=self.environment(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}/admin/"
            while _page(url) < 0:
                if process.poll() is not None or time.monotonic() - begun > 120:
                    raise RuntimeError(f"the webserver of {self.bin} does not answer")
                time.sleep(0.05)
            started = time.monotonic() - begun
            return started, [_page(url) for _ in range(pages)]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _page(url: str) -> float:
    """Seconds of the index page with all DAGs; negative while nobody answers."""
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            body = answer.read()
    except (urllib.error.URLError, ConnectionError):
        return -1.0
    if body.count(b"graph?dag_id=dag_") < DAGS and body.count(b"dag_id=dag_") < DAGS:
        raise RuntimeError(f"{url} does not show {DAGS} DAGs")
    return time.monotonic() - begun


def released(workspace: Workspace) -> Path:
    """The environment of the released wheel on Python 3.8, made once."""
    folder = workspace.build / "benchmarks" / f"released-{file_sha256(LOCK)[:12]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        tool = uv.find_uv_bin()
        subprocess.run(
            [tool, "venv", "--quiet", f"--python={find_interpreter('3.8')}", str(folder)], check=True
        )
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraint:
            # Sdists of that time ask setuptools for what it dropped in 58.
            constraint.write("setuptools<58\n")
            constraint.flush()
            install = [
                tool,
                "pip",
                "install",
                "--quiet",
                f"--python={folder / 'bin' / 'python'}",
                "--require-hashes",
            ]
            options = [*index_options(pip_settings()), f"--build-constraints={constraint.name}"]
            subprocess.run([*install, *options, f"--requirement={LOCK}"], check=True)
        (folder / "complete").touch()
    return folder / "bin"


def ported(workspace: Workspace, folder: Path) -> Path:
    """The release as the first patches make it run on our Python, unpacked below `folder`."""
    tree = workspace.build / select_release(workspace.patches, None).version / "tree"
    git = ["git", "-C", str(tree)]
    found = subprocess.run(
        [*git, "log", "--format=%H", "--fixed-strings", f"--grep=Patch-Name: {_PORTED_BY}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    archive = subprocess.run(
        [*git, "archive", found.stdout.strip(), "airflow"], check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="starts of each webserver (default: 3)")
    parser.add_argument("--pages", type=int, default=7, help="index pages at each start (default: 7)")
    parser.add_argument("--same-python", action="store_true", help="against the release on our Python and packages")
    arguments = parser.parse_args()
    workspace = Workspace(ROOT)
    ours_bin = install(workspace, select_release(workspace.patches, None)) / "bin"
    with tempfile.TemporaryDirectory() as folder:
        ours = Side(ours_bin, Path(folder) / "ours")
        home = Path(folder) / "released"
        if arguments.same_python:
            theirs = Side(ours_bin, home, ported(workspace, Path(folder) / "tree"))
        else:
            theirs = Side(released(workspace), home)
        for side in (ours, theirs):
            side.prepare()
        starts: dict[Side, list[float]] = {ours: [], theirs: []}
        pages: dict[Side, list[float]] = {ours: [], theirs: []}
        for _ in range(arguments.runs):
            for side in (ours, theirs):
                started, times = side.measure(arguments.pages)
                starts[side].append(started)
                pages[side] += times
    rows = [
        Row("webserver: start to first page", starts[ours], starts[theirs], 1.0),
        Row(f"index page with {DAGS} DAGs", pages[ours], pages[theirs], 1.0),
    ]
    name = "webserver-same-python" if arguments.same_python else "webserver"
    title = "Webserver against the released one" + (" on our Python" if arguments.same_python else "")
    return show(title, rows, {}, ROOT / ".build" / "benchmarks" / f"{name}.svg")


if __name__ == "__main__":
    sys.exit(main())
