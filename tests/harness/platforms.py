"""Outside platforms for tests: the stand-in, in this process or run by `python -m stand_in`."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from harness.made import ROOT
from harness.processes import running, wait_for
from stand_in import StandIn, serving
from stand_in.server import TOKEN

__all__ = ["TOKEN", "StandIn", "connection", "registered", "serving", "stand_in_process"]


def connection(url: str, token: str = TOKEN, host: str | None = None, account: str = "") -> str:
    """Give the URL of an Airflow connection to the stand-in as Qubole, for AIRFLOW_CONN_… in an environment.

    `account` is for one that is reached at several addresses.
    """
    extra = f"?external_account={quote(account, '')}" if account else ""
    return f"qubole://:{quote(token, '')}@{quote(f'{url}/api' if host is None else host, '')}{extra}"


@contextmanager
def stand_in_process(folder: Path, *arguments: str) -> Iterator[str]:
    """Run the stand-in as a process of its own; gives its URL."""
    with running(
        [sys.executable, "-m", "stand_in", *arguments], folder / "stand-in.log", cwd=ROOT
    ) as process:
        yield wait_for("the stand-in", lambda: process.output.partition("\n")[0], 20, process)


def registered(tree: Path, home: Path) -> dict[str, str]:
    """Settings of a process of the patched tree, in which nothing is installed: the entry points of its setup.py."""
    calls = [node for node in ast.walk(ast.parse((tree / "setup.py").read_text("utf-8"))) if isinstance(node, ast.Call)]
    [setup] = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "setup"]
    [points] = [keyword.value for keyword in setup.keywords if keyword.arg == "entry_points"]
    lines = [f"[{group}]\n" + "\n".join(entries) for group, entries in ast.literal_eval(points).items()]
    information = home / "registered" / "registered-0.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: registered\nVersion: 0\n")
    (information / "entry_points.txt").write_text("\n".join(lines))
    return {"PYTHONPATH": f"{tree}{os.pathsep}{information.parent}"}
