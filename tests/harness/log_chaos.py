"""Tasks that log to S3 while processes are killed and S3 fails, all by one seed."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.faulty_proxy import Fault, FaultyProxy

DAY = "2026-01-01T00:00:00+00:00"
# One may stand behind half of another's, which was killed while it wrote a long one.
_LINE = re.compile(rb"(t[0-9]+\.[0-9]+/(?:task|supervisor)/[0-9]{4}/)x*\.\n")
# What S3 answers at random, and how often of a thousand requests.
FAULTS = {
    "reset": 15,
    "lost": 15,
    "truncated": 10,
    "corrupt": 10,
    "stored-500": 15,
    "500 InternalError": 10,
    "503 SlowDown": 15,
    "403 AccessDenied": 8,
    "403 RequestTimeTooSkewed": 3,
    "400 ExpiredToken": 5,
    "slow": 10,
}


@dataclass
class Weather:
    """Which fault each request meets; now and then all fail for a while."""

    chance: random.Random
    calm: bool = False
    _bad_until: float = 0.0

    def take(self) -> Fault | None:
        now = time.monotonic()
        if self.calm:
            return None
        if now < self._bad_until:
            return Fault("503 SlowDown")
        if self.chance.random() < 0.002:
            self._bad_until = now + self.chance.uniform(0.5, 4)
        dice = self.chance.randrange(1000)
        for kind, often in FAULTS.items():
            dice -= often
            if dice < 0:
                return Fault(kind, seconds=self.chance.uniform(0.1, 2))
        return None


def under(weather: Weather, proxy: FaultyProxy) -> None:
    """Let a proxy fail as the weather says."""

    def take(method: str, path: str) -> Fault | None:
        with proxy._lock:
            proxy.requests.append((method, path))
            return weather.take()

    proxy.take = take  # type: ignore[method-assign]


@dataclass
class Zygote:
    """The process that forks; `running` are its living children by id."""

    process: subprocess.Popen[bytes]
    running: dict[int, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    _waiting: bytes = b""

    def order(self, **order: Any) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        while order["name"] not in self.running.values():
            self._hear()
        return next(pid for pid, name in self.running.items() if name == order["name"])

    def _hear(self, seconds: float = 60) -> None:
        """Hear one answer, if one comes in time."""
        assert self.process.stdout is not None
        while b"\n" not in self._waiting:
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                return
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            assert more, "the forking process has ended"
            self._waiting += more
        line, _, self._waiting = self._waiting.partition(b"\n")
        said = json.loads(line)
        if "pid" in said:
            self.running[said["pid"]] = said["name"]
        elif "ended" in said:
            self.running.pop(said["ended"], None)
            self.statuses[said["status"]] += 1

    def listen(self, seconds: float) -> None:
        """Hear what has ended, for some time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._hear(left)


@contextmanager
def zygote(argv: list[str], environment: dict[str, str], log: Path) -> Iterator[Zygote]:
    """The forking process, and the end of all that it forked."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
    made = Zygote(process)
    try:
        made._hear()
        yield made
    finally:
        for pid in made.running:
            kill(pid)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@dataclass
class Chaos:
    """The whole of a run."""

    folder: Path
    url: str
    chance: random.Random
    zygote: Zygote
    sweeps: bool = True
    at_once: int = 6
    kills: int = 0
    runs: int = 0
    killed_sweeps: int = 0
    _to_kill: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _next_sweep: float = 0.0
    _numbers: int = 0

    def go(self, tasks: int, first: int = 0) -> None:
        """Run tasks, numbered from `first`, each several times under one name, as a sensor that is rescheduled."""
        waiting = [
            (f"t{number}", run)
            for number in range(first, first + tasks)
            for run in range(self.chance.choice([1, 2, 3]))
        ]
        busy: dict[str, str] = {}
        while waiting or busy:
            for task, name in list(busy.items()):
                if name not in self.zygote.running.values():
                    del busy[task]
            for one in [one for one in waiting if one[0] not in busy][: self.at_once - len(busy)]:
                # Only the next run of each task, in order.
                if one == next(other for other in waiting if other[0] == one[0]) and one[0] not in busy:
                    waiting.remove(one)
                    busy[one[0]] = self._start(*one)
            self._act()
            self.zygote.listen(0.05)
        self._to_kill.clear()

    def _start(self, task: str, run: int) -> str:
        name = f"{task}.{run}"
        host = self.chance.choice(["a", "b"])
        long = self.chance.choice([0, 0, 0, 500, 5000, 600_000])
        notes = str(self.folder / "notes" / name)
        pid = self.zygote.order(
            do="task", name=name, task=task, base=str(self.folder / host), url=self.url, notes=notes,
            lines=self.chance.randrange(5, 40), pause=self.chance.choice([0.0, 0.02, 0.1]), long=long,
        )  # fmt: skip
        self.runs += 1
        whom = self.chance.choice(["", "", "supervisor", "task", "both"])
        if whom:
            self.kills += 1
            self._later(lambda: self._kill_task(pid, notes, whom), 2.5)
        return name

    def _kill_task(self, pid: int, notes: str, whom: str) -> None:
        if whom != "task" and pid in self.zygote.running:
            kill(pid)
        with suppress(OSError, ValueError):
            below = int(Path(f"{notes}.pid").read_text())
            # Only if it is still that process: its parent is the supervisor, or nobody any more.
            command = Path(f"/proc/{below}/cmdline").read_bytes()
            if whom != "supervisor" and b"log_tasks.py" in command:
                kill(below)

    def _later(self, act: Callable[[], None], most: float) -> None:
        self._to_kill.append((time.monotonic() + self.chance.uniform(0, most), act))

    def _act(self) -> None:
        now = time.monotonic()
        for one in [one for one in self._to_kill if one[0] <= now]:
            self._to_kill.remove(one)
            one[1]()
        if self.sweeps and now > self._next_sweep:
            self._next_sweep = now + self.chance.uniform(0.2, 3)
            pid = self.sweep(self.chance.choice(["a", "b"]))[0]
            if self.chance.random() < 0.5:
                self.killed_sweeps += 1
                self._later(lambda: kill(pid) if pid in self.zygote.running else None, 1.5)

    def sweep(self, host: str) -> tuple[int, Path]:
        self._numbers += 1
        notes = self.folder / f"sweep-{self._numbers}"
        pid = self.zygote.order(
            do="sweep", name=f"sweep-{self._numbers}", base=str(self.folder / host), notes=str(notes)
        )
        return pid, notes

    def sweep_until_quiet(self, most: int = 30) -> None:
        """Two at once on each host, and then one alone, until that finds nothing: of two, each may meet the other."""
        time.sleep(1.5)  # so that all logs are at rest, and each becomes one object
        for _ in range(most):
            self._sweeps("a", "b", "a", "b")
            reports = self._sweeps("a", "b")
            if len(reports) == 2 and all(one["quiet"] and not one["live"] for one in reports):
                return
        raise AssertionError(f"the sweeps find something again and again: {reports}")

    def _sweeps(self, *hosts: str) -> list[Any]:
        """What sweeps that run at once report."""
        made = [self.sweep(host) for host in hosts]
        while any(pid in self.zygote.running for pid, _ in made):
            self.zygote.listen(0.1)
        return [json.loads(notes.read_text()) for _, notes in made if notes.exists()]

    def said(self) -> dict[str, list[str]]:
        """The lines that each process is known to have logged, in order, by its notes' name."""
        return {
            path.name: path.read_text().split()
            for path in sorted((self.folder / "notes").iterdir())
            if path.suffix in (".task", ".supervisor")
        }


def lines_of(text: bytes) -> list[str]:
    """The lines of tasks in a text, without what follows their names."""
    return [found.decode() for found in _LINE.findall(text)]


@dataclass
class Losses:
    """What is wrong with what was found of what was said."""

    said: int = 0
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)


def compare(said: dict[str, list[str]], texts: dict[str, bytes]) -> Losses:
    """Hold the lines that were said against the texts of their tasks' logs."""
    found = Losses()
    for name, lines in said.items():
        task = name.partition(".")[0]
        there = lines_of(texts.get(task, b""))
        prefix = name.rpartition(".")[0] + "/" + name.rpartition(".")[2] + "/"
        mine = [line for line in there if line.startswith(prefix)]
        counts = Counter(mine)
        found.said += len(lines)
        found.missing += [line for line in lines if line not in counts]
        found.doubled += [line for line, count in counts.items() if count > 1]
        if mine != sorted(mine):
            found.disordered.append(name)
    return found
