"""Outside platforms for tests: the stand-in, in this process or run by `python -m stand_in`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from harness.made import ROOT
from harness.processes import running, wait_for
from stand_in import StandIn, serving
from stand_in.server import TOKEN

__all__ = ["TOKEN", "StandIn", "connection", "serving", "stand_in_process"]


def connection(url: str, token: str = TOKEN, host: str | None = None) -> str:
    """Give the URL of an Airflow connection to the stand-in as Qubole, for AIRFLOW_CONN_… in an environment."""
    return f"qubole://:{quote(token, '')}@{quote(f'{url}/api' if host is None else host, '')}"


@contextmanager
def stand_in_process(folder: Path, *arguments: str) -> Iterator[str]:
    """Run the stand-in as a process of its own; gives its URL."""
    with running(
        [sys.executable, "-m", "stand_in", *arguments], folder / "stand-in.log", cwd=ROOT
    ) as process:
        yield wait_for("the stand-in", lambda: process.output.partition("\n")[0], 20, process)
