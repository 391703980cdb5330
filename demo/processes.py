"""Stop a service and everything that it started; ports for services."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Process:
    """A living process; when it began tells it from a later one of the same number."""

    pid: int
    began: str


def free_port(wanted: int) -> int:
    """The wanted port of the loopback if nobody listens there, else any free one."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port(0)
        return int(probe.getsockname()[1])


def stop(process: subprocess.Popen[bytes], patience: float) -> None:
    """End a service, the leader of its group, and all below it: first asked, then told.

    Returns when all are gone: also those that Airflow puts in groups of their own,
    and those that outlive the leader, who is to end them if he can.
    """
    known: set[_Process] = set()
    for number in (signal.SIGTERM, signal.SIGKILL):
        known |= _family(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        told: set[_Process] = set()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if process.poll() is not None:
                left = (known & _living()) | _family(process.pid)
                if not left:
                    return
                for one in left - told:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(one.pid, number)
                told |= left
            time.sleep(0.1)


def _family(leader: int) -> set[_Process]:
    """The living processes of the leader's group and session, and those below any of them."""
    table = _table()
    members = {pid for pid, (_, *kin) in table.items() if pid == leader or leader in kin[1:]}
    while more := {pid for pid, (_, parent, *_) in table.items() if parent in members} - members:
        members |= more
    return {_Process(pid, table[pid][0]) for pid in members if pid in table}


def _living() -> set[_Process]:
    return {_Process(pid, began) for pid, (began, *_) in _table().items()}


def _table() -> dict[int, tuple[str, int, int, int]]:
    """When each living process began, its parent, its group and its session."""
    table = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            parent, group, session = map(int, fields[1:4])
            table[int(stat.parent.name)] = fields[19], parent, group, session
    return table
