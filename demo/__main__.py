"""Start the distribution of dist/ on SQLite, run a DAG, and keep it up until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuildError
from builder.progress import step
from builder.release import select_release
from builder.workspace import Workspace, exclusive
from demo.edge import PREFIX, Edge, answers, find_nginx
from demo.environment import install
from demo.gateway import CLUSTER, Gateway
from demo.holding import hold, remove_free
from demo.platform import connection, stand_in
from demo.processes import stop

DAG, WHEN = "hello_service", "2026-01-01T00:00:00+00:00"
PLATFORM_DAG = "query_elsewhere"
# Seconds for the webserver to answer, for the DAG to end, and for a process to stop.
START, RUN, STOP = 90, 180, 20


class DemoFailed(BuildError):
    """The demo's Airflow did not do what it should."""

    exit_code = 40


@dataclass(frozen=True, slots=True)
class Demo:
    """A started Airflow: its environment, its home, where it listens, and what is around it."""

    environment: Path
    home: Path
    port: int
    edge: Edge | None
    platform: str
    """The URL of the stand-in for outside platforms."""

    @property
    def gateway(self) -> Gateway | None:
        """Who decides who may enter; nobody, without an nginx that asks."""
        if self.edge is None:
            return None
        return Gateway(self.environment / "bin" / "airflow-service", self.home / "gateway", self.edge)

    @property
    def url(self) -> str:
        """Where browsers find it."""
        if self.edge is None:
            return f"http://127.0.0.1:{self.port}"
        return f"http://127.0.0.1:{self.edge.port}{PREFIX}"

    @property
    def settings(self) -> dict[str, str]:
        """The process environment: nothing of the user's own Airflow gets in."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))
        }
        return {
            **kept,
            "PATH": f"{self.environment / 'bin'}{os.pathsep}{kept['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).resolve().parent / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__WEBSERVER__BASE_URL": self.url,
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self.port),
            "AIRFLOW__WEBSERVER__WORKERS": "2",
            "AIRFLOW__WEBSERVER__SECRET_KEY": os.urandom(16).hex(),
            "AIRFLOW__SERVICE__CLUSTER_ID": CLUSTER,
            "AIRFLOW_CONN_QUBOLE_DEFAULT": connection(self.platform),
            "AIRFLOW__SERVICE__CDN_URL": self.edge.cdn_url if self.edge else "",
            **(self.gateway.settings if self.gateway else {}),
        }

    def run(self, *arguments: str) -> str:
        """Run one of Airflow's commands to its end; returns what it printed."""
        done = subprocess.run(
            ["airflow", *arguments],
            executable=self.environment / "bin" / "airflow",
            env=self.settings, cwd=self.home, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise DemoFailed(
                f"airflow {arguments[0]} ended with {done.returncode}",
                detail=_tail(done.stdout + done.stderr),
            )
        return done.stdout

    @contextlib.contextmanager
    def service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run one of Airflow's services; its output goes to a file in the home."""
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [self.environment / "bin" / "airflow", name],
                env=self.settings, cwd=self.home, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                yield process
            finally:
                stop(process, STOP)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-15:])


def _free_port(wanted: int) -> int:
    """The wanted port if nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DemoFailed("no port is free on 127.0.0.1")


def _wait_for_page(demo: Demo, services: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START
    # Past nginx, which lets nobody through who has not logged in.
    while not answers(f"http://127.0.0.1:{demo.port}/health"):
        _refuse_ended(demo, services)
        if time.monotonic() > deadline:
            raise DemoFailed(
                "the webserver does not answer", detail=_tail((demo.home / "webserver.log").read_text())
            )
        time.sleep(0.5)


def _wait_for_run(demo: Demo, services: list[subprocess.Popen[bytes]], dag: str) -> None:
    deadline = time.monotonic() + RUN
    while True:
        # The last line: warnings of plugins or settings may stand before it.
        state = demo.run("dag_state", dag, WHEN).strip().rpartition("\n")[2]
        if state == "success":
            return
        _refuse_ended(demo, services)
        if state == "failed" or time.monotonic() > deadline:
            log = (demo.home / "scheduler.log").read_text()
            raise DemoFailed(
                f"{dag} did not succeed", detail=_tail(log), next_step=f"read the logs in {demo.home}"
            )
        time.sleep(1)


def _refuse_ended(demo: Demo, services: list[subprocess.Popen[bytes]]) -> None:
    for process in services:
        if process.poll() is not None:
            raise DemoFailed(
                f"a service ended with {process.returncode}", next_step=f"read the logs in {demo.home}"
            )


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=8080, help="where browsers find it (default: 8080 or a free one)"
    )
    parser.add_argument("--once", action="store_true", help="stop when the DAG has succeeded")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return _demonstrate(arguments.port, once=arguments.once)
    except BuildError as error:
        print(error.render(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped")
        return 0


def _demonstrate(port: int, *, once: bool) -> int:
    workspace = Workspace(Path(__file__).resolve().parent.parent)
    release = select_release(workspace.patches, None)
    folder = workspace.build / "demo"
    with exclusive(folder):
        with step(f"install {release.wheel_name}"):
            environment = install(workspace, release)
        # A home for each demo, kept for its logs until a later one begins.
        remove_free(folder, "home*")
        home = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
        hold(home)
    nginx = find_nginx()
    passwords: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        platform = running.enter_context(stand_in())
        demo = Demo(environment, home, _free_port(0 if nginx else port), edge_of(nginx, home, port), platform)
        with step("initialise the database"):
            demo.run("initdb")
        if demo.edge is not None and demo.gateway is not None:
            with step("start nginx and the gateway, with the prefix and the CDN"):
                passwords = demo.gateway.add_users()
                running.enter_context(demo.gateway.serve())
                running.enter_context(demo.edge.serve(release, workspace.dist, environment, demo.port))
        with step("start scheduler and webserver"):
            services = [running.enter_context(demo.service(name)) for name in ("scheduler", "webserver")]
            _wait_for_page(demo, services)
        with step(f"run the DAGs {DAG} and {PLATFORM_DAG} to success"):
            for dag in (DAG, PLATFORM_DAG):
                demo.run("trigger_dag", "--exec_date", WHEN, dag)
            for dag in (DAG, PLATFORM_DAG):
                _wait_for_run(demo, services, dag)
        print(f"\n{demo.url}/admin/airflow/graph?dag_id={DAG}")
        print(f"the tasks of {PLATFORM_DAG} lead to their commands, in a stand-in for Qubole at {platform}")
        if demo.edge is not None:
            print(f"through nginx below {PREFIX}, with the assets of {demo.edge.cdn_url}")
            print("Log in, and see what each role gets:")
        for name, password in passwords.items():
            print(f"  {name:<8}{password}")
        print("Ctrl-C stops everything.", flush=True)
        while not once:
            _refuse_ended(demo, services)
            time.sleep(1)
    return 0


def edge_of(nginx: str | None, home: Path, port: int) -> Edge | None:
    """What stands before the demo's webserver; None, with a word on it, without an nginx."""
    if nginx is None:
        print(
            "nginx is not installed: this demo has no proxy, no prefix, no CDN, and nobody has to log in"
            " (see make servers)"
        )
        return None
    folder = home / "nginx"
    folder.mkdir()
    return Edge(nginx, folder, _free_port(port), _free_port(0), _free_port(0))


if __name__ == "__main__":
    sys.exit(main())
