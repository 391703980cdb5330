"""Processes that a test starts, and stops again: these and no others, by their ids."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def free_port() -> int:
    """A port of the loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children(pid: int) -> set[int]:
    """The ids of the living processes that a process has started."""
    return set(_by_parent().get(pid, []))


def _by_parent() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything; the parent is the second field after it.
            state, parent = stat.read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found.setdefault(int(parent), []).append(int(stat.parent.name))
    return found


@dataclass
class Running:
    """A process, the leader of a session of its own, with its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def descendants(self) -> list[int]:
        """The ids of the living processes below this one."""
        below = _by_parent()
        found: list[int] = []
        waiting = [self.process.pid]
        while waiting:
            more = below.get(waiting.pop(), [])
            found += more
            waiting += more
        return found

    def terminate(self, timeout: float = 30) -> int:
        """SIGTERM to the process alone; returns its exit code."""
        self.process.terminate()
        return self.process.wait(timeout)

    def stop(self, timeout: float = 30) -> None:
        """Stop the process, and whatever it started and left behind."""
        below = self.descendants()
        try:
            if self.process.poll() is None:
                self.terminate(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            for pid in below:
                if _session(pid) in (self.process.pid, pid):
                    _kill(pid)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def running(
    argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Running]:
    """A process that is stopped at the end of the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(map(str, argv)), env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    started = Running(process, log)
    try:
        yield started
    finally:
        started.stop()


def wait_for(
    what: str, look: Callable[[], T], timeout: float, *processes: Running, interval: float = 0.25
) -> T:
    """Look until there is something to see; returns it.

    Fails with the processes' output after `timeout` seconds, and as soon as one
    of them has ended.
    """
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        ended = [process for process in processes if process.process.poll() is not None]
        if ended or time.monotonic() > deadline:
            why = f"{ended[0].process.args!r} ended" if ended else f"{timeout:.0f} s are over"
            outputs = "".join(f"\n--- {p.log}\n{p.output[-6000:]}" for p in processes)
            raise AssertionError(f"waiting for {what}: {why}{outputs}")
        time.sleep(interval)
    return seen
