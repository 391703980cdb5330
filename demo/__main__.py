"""Start the distribution of dist/ on SQLite, run a DAG, and keep it up until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from builder.errors import BuildError
from builder.progress import step
from builder.release import select_release
from builder.workspace import Workspace, exclusive
from demo.edge import PREFIX, Edge, find_nginx
from demo.environment import install
from demo.holding import hold, remove_free
from demo.log_store import log_store
from demo.platform import stand_in
from demo.processes import free_port
from demo.site import WHEN, Demo, refuse_ended, wait_for_page, wait_for_run

DAG, PLATFORM_DAG = "hello_service", "query_elsewhere"
TALKING_DAG, TALKING_TASK = "talk_for_a_while", "talk"


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
    nginx, logs = find_nginx(), log_store(home)
    passwords: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        platform = running.enter_context(stand_in())
        if logs is not None:
            with step("start an S3 server for the logs"):
                running.enter_context(logs.serve())
        own_port = free_port(0 if nginx else port)
        demo = Demo(environment, home, own_port, edge_of(nginx, home, port), platform, logs)
        with step("initialise the database"):
            demo.run("initdb")
        if demo.edge is not None and demo.gateway is not None:
            with step("start nginx and the gateway, with the prefix and the CDN"):
                passwords = demo.gateway.add_users()
                running.enter_context(demo.gateway.serve())
                running.enter_context(demo.edge.serve(release, workspace.dist, environment, demo.port))
        with step("start scheduler and webserver"):
            services = [running.enter_context(demo.service(name)) for name in ("scheduler", "webserver")]
            wait_for_page(demo, services)
        with step(f"run the DAGs {DAG} and {PLATFORM_DAG} to success"):
            for dag in (DAG, PLATFORM_DAG):
                demo.run("trigger_dag", "--exec_date", WHEN, dag)
            for dag in (DAG, PLATFORM_DAG):
                wait_for_run(demo, services, dag)
        if logs is not None and not once:
            with step(f"start the DAG {TALKING_DAG}, until its running task's log is on S3"):
                demo.run("trigger_dag", "--exec_date", WHEN, TALKING_DAG)
                running.enter_context(demo.service("run", "--local", TALKING_DAG, TALKING_TASK, WHEN))
                logs.wait_for_log(TALKING_DAG)
                # Not before, or the scheduler would run the task, too.
                demo.run("unpause", TALKING_DAG)
        print(f"\n{demo.url}/admin/airflow/graph?dag_id={DAG}")
        print(f"the tasks of {PLATFORM_DAG} lead to their commands, in a stand-in for Qubole at {platform}")
        if logs is not None:
            print(f"the logs of all tasks are at {logs.place}, on an S3 server at {logs.url}; that of a running task:")
            print(f"  {demo.url}/admin/airflow/log?{log_of(TALKING_DAG, TALKING_TASK)}")
        if demo.edge is not None:
            print(f"through nginx below {PREFIX}, with the assets of {demo.edge.cdn_url}")
            print("Log in, and see what each role gets:")
        for name, password in passwords.items():
            print(f"  {name:<8}{password}")
        print("Ctrl-C stops everything.", flush=True)
        while not once:
            refuse_ended(demo, services)
            time.sleep(1)
    return 0


def log_of(dag: str, task: str) -> str:
    """The query of a log's page."""
    return urlencode({"dag_id": dag, "task_id": task, "execution_date": WHEN})


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
    return Edge(nginx, folder, free_port(port), free_port(0), free_port(0))


if __name__ == "__main__":
    sys.exit(main())
