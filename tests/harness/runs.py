"""Running the sample DAGs: what they leave behind, and how what ran them is stopped."""

from __future__ import annotations

import re
from pathlib import Path

from harness.processes import Running, wait_for
from harness.site import Site

# The state of each task of the DAG `everyday` after a run.
EVERYDAY = {
    "shell": "success",
    "python": "success",
    "branch": "success",
    "taken": "success",
    "left_out": "skipped",
    "join": "success",
}


def run_to_success(site: Site, *processes: Running) -> None:
    """Wait for the scheduled DAG `everyday`, and look at all that it leaves behind."""
    site.wait_for_run("everyday", "success", *processes)
    assert site.task_states("everyday") == EVERYDAY
    assert "the shell said 21" in site.log_of("everyday", "python")
    assert "of 2024-01-01 joined" in site.log_of("everyday", "join")


def before_its_end(scheduler: Running) -> str:
    """What it printed until it was stopped: as in the release, its workers and readers of files print how they end."""
    return re.split("Exiting gracefully upon receiving signal|Exited execute loop", scheduler.output)[0]


def stop_in_order(process: Running, timeout: float = 60) -> None:
    """SIGTERM ends a process with exit code 0, and nothing below it stays."""
    below = process.descendants()
    assert below
    assert process.terminate(timeout) == 0, process.output[-3000:]
    wait_for(
        "the end of what it started", lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), 30
    )
