"""`airflow-service logs waiting`, for those who may not read all, and gzip files that are not whole."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_service.log_reading.printing import unpacked
from airflow_service.object_store import Changed
from airflow_service.task_logs.journal import Journal, Keeper, Lock
from harness.shipping import LOG

_AS_A_STRANGER = f"""
import json, os, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2] / "overlay")!r})
from airflow_service.log_reading.waiting import of_tasks
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
problems = []
print(json.dumps([[one.note for one in of_tasks(Path(sys.argv[1]), problems)], problems]))
"""


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder of logs to which strangers find their way; that of pytest is its user's alone."""
    with tempfile.TemporaryDirectory(prefix="test-logs-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def waiting(base: Path) -> tuple[list[str], list[str]]:
    """The notes and the problems."""
    done = subprocess.run(
        [sys.executable, "-c", _AS_A_STRANGER, str(base)], check=True, capture_output=True, text=True, timeout=60
    )
    notes, problems = json.loads(done.stdout)
    return notes, problems


def test_whoever_may_read_is_told_what_is_live(base: Path) -> None:
    """A lock can be looked at without the right to take it."""
    keeper = Keeper(base)
    keeper.save(Journal(LOG))
    lock = Lock(keeper, LOG)
    keeper.folder.chmod(0o755)
    for path in keeper.folder.iterdir():
        path.chmod(0o444)
    assert waiting(base) == (["its task runs, and ships it"], [])
    lock.release()
    notes, problems = waiting(base)
    assert (len(notes), "the next `airflow-service ship-logs` does it" in notes[0], problems) == (1, True, [])


def test_whoever_may_not_is_told_so(base: Path) -> None:
    """Not that no log waits."""
    keeper = Keeper(base)
    keeper.save(Journal(LOG))
    keeper.folder.chmod(0)
    assert waiting(base) == (
        [], [f"{keeper.folder} cannot be read (Permission denied): ask as the user whose tasks run"]
    )  # fmt: skip


@pytest.mark.parametrize("end", [10, 50_000, -1])
def test_a_packed_log_that_is_not_whole(end: int) -> None:
    """It is told of, not taken for a shorter one."""
    data = gzip.compress(os.urandom(100_000))
    assert len(b"".join(unpacked(iter([data[:500], data[500:]])))) == 100_000
    with pytest.raises(Changed, match="it ends in its middle"):
        list(unpacked(iter([data[:end]])))
