"""Pieces of Python about task instances with commands, run in the patched tree beside a stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_process import PatchedAirflow

from harness.platforms import connection
from stand_in import StandIn

PLATFORMS = Path(__file__).resolve().parents[1] / "samples" / "platforms"


def environment(url: str, path: str, **settings: str) -> dict[str, str]:
    """What a process needs to have the tiny platform, its connection `tiny`, and short time-outs."""
    return {
        "PYTHONPATH": path,
        "AIRFLOW_CONN_TINY": connection(url),
        "AIRFLOW__SERVICE__EXTERNAL_COMMAND_TIMEOUT": "3",
        "AIRFLOW__SERVICE__EXTERNAL_COMMAND_REQUEST_TIMEOUT": "0.5",
        "AIRFLOW__EMAIL__EMAIL_BACKEND": "scenes.mail",
        **settings,
    }


def play(airflow: PatchedAirflow, url: str, code: str, **settings: str) -> Any:
    """Run a piece of Python after `from scenes import *`; gives what its `tell(…)` told."""
    path = f"{airflow.environment()['PYTHONPATH']}:{PLATFORMS}"
    done = airflow.quickly(f"from scenes import *\n{code}", **environment(url, path, **settings))
    told = [line for line in done.stdout.splitlines() if line.startswith("{")]
    found = json.loads(told[-1])
    found["output"] = done.stdout + done.stderr
    return found


def command(stand_in: StandIn, account: str = "main", **plan: Any) -> int:
    """Have a command started, with a plan of its own; gives its id."""
    made = stand_in.commands.create(account, {"command_type": "Tiny"})
    stand_in.commands.plan(made.id, **plan)
    return made.id


def cancels(stand_in: StandIn) -> dict[int, int]:
    """How often each command was asked to be cancelled; those that were not are left out."""
    return {each.id: each.cancels for each in stand_in.commands if each.cancels}
