"""`make demo`: the distribution of dist/ starts, runs a DAG to success, and leaves no process behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness.environments import BASE_PYTHON
from harness.made import ROOT
from harness.processes import Running, running, wait_for

pytestmark = [pytest.mark.slow]

DEMO = [BASE_PYTHON, "-m", "builder.bootstrap", "build", "-m", "demo", "--port", "0"]
READY = "Ctrl-C stops everything."


def seen_below(demo: Running, seen: set[int]) -> bool:
    """Note who is below the demo; whether it has ended."""
    seen.update(demo.descendants())
    return demo.process.poll() is not None


def living(pids: set[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def test_once(dist: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """With --once it ends by itself: exit code 0 after the DAG's success."""
    seen: set[int] = set()
    with running([*DEMO, "--once"], tmp_path / "demo.log", environment, ROOT) as demo:
        wait_for("the end of the demo", lambda: seen_below(demo, seen), 400)
        assert demo.process.returncode == 0, demo.output
        assert READY in demo.output
        assert seen
        assert living(seen) == []


def test_until_it_is_interrupted(dist: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """Ctrl-C stops the scheduler, the webserver and all that they started; exit code 0."""
    with running(DEMO, tmp_path / "demo.log", environment, ROOT) as demo:
        wait_for("the demo to be up", lambda: READY in demo.output, 400, demo)
        seen = set(demo.descendants())
        assert len(seen) > 2
        demo.process.send_signal(signal.SIGINT)
        wait_for("the end of the demo", lambda: seen_below(demo, seen), 90)
        assert demo.process.returncode == 0, demo.output
        assert demo.output.endswith("\nstopped\n")
        assert living(seen) == []
