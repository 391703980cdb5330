"""Logs that the real logrotate rotates under a living writer: each line reaches S3 once, in order."""

from __future__ import annotations

import getpass
import grp
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_service.service_logs.render import read_values, render
from airflow_service.service_logs.sources import Source
from harness.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from harness.log_node import Node, texts
from harness.log_store import store_on
from harness.nginx import nginx
from harness.processes import free_port, running, wait_for
from harness.s3 import S3Server
from harness.servers import program

ROOT = Path(__file__).parents[2]
FAULTS = ("reset", "lost", "truncated", "stored-500", "corrupt", "503 SlowDown", "500 InternalError")


class Logrotate:
    """The configuration that is rendered for a node, for logs in a folder of a test."""

    def __init__(self, folder: Path, logs: Path, pid: Path) -> None:
        self.folder = folder
        user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
        values = folder / "values.toml"
        values.write_text(
            f'home = "{folder}"\nprogram = "/bin/true"\nservices = ["nginx", "airflow"]\n'
            f'state = "{folder}"\nuser = "{user}"\ngroup = "{group}"\nlogs = "{folder}/airflow"\n'
            f'nginx_logs = "{logs}"\nnginx_user = "{user}"\nnginx_group = "{group}"\nnginx_pid = "{pid}"\n'
        )
        self.file = folder / "logrotate.conf"
        self.file.write_text(render("logrotate", read_values(values)))
        # logrotate refuses a configuration that others could change.
        self.file.chmod(0o644)

    def rotate(self) -> None:
        """Whatever the size: `--force`."""
        command = [program("logrotate"), "--force", "--state", str(self.folder / "rotated"), str(self.file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # Two rotations in one second would give one name, which logrotate refuses.
        assert not done.stderr or "already exists" in done.stderr, done.stderr


def node_on(folder: Path, s3: S3Server) -> tuple[Node, str]:
    bucket = s3.bucket()
    return Node(folder, store_on(s3.url, bucket, folder)), bucket


def test_nginx(tmp_path: Path, s3: S3Server) -> None:
    """A real nginx under requests: rotated, shipped, rotated again, shipped, and compressed by then."""
    node, bucket = node_on(tmp_path, s3)
    port = free_port()
    included = tmp_path / "site.conf"
    included.write_text(
        f"server {{ listen 127.0.0.1:{port}; access_log {node.logs}/access.log; location / {{ return 204; }} }}"
    )
    logrotate = Logrotate(tmp_path, node.logs, tmp_path / "pid")
    asked = 0
    with nginx(tmp_path, included, port):
        for _ in range(3):
            for _ in range(20):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{asked}").close()
                asked += 1
            assert node.ship().problems == []
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{asked}").close()
            asked += 1
            logrotate.rotate()
            time.sleep(1.1)  # names of rotated files have seconds in them
            assert node.ship().problems == []
    assert [path.suffix for path in sorted(node.logs.glob("access.log-*"))][:2] == [".gz", ".gz"]
    text = b"".join(texts(s3.objects(bucket)).values()).decode()
    assert re.findall(r"GET /(\d+) ", text) == [str(number) for number in range(asked)]
    assert all(key.endswith(".gz") for key in s3.objects(bucket))


_SERVICE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("last words", flush=True), sys.exit(7)))
print("\\x1b[1mready\\x1b[22m", end="", flush=True)
for number in range(1_000_000):
    print(f" line {number}\\n", end="", flush=True, file=sys.stderr if number % 2 else sys.stdout)
    time.sleep(0.001)
"""


def test_a_service_with_its_output_in_a_log(tmp_path: Path, s3: S3Server) -> None:
    """Rotated while it speaks, no line is lost; each is dated and has the host; signals and exit code are its own."""
    node, bucket = node_on(tmp_path, s3)
    logs = tmp_path / "airflow"
    logs.mkdir()
    node.sources = (Source("webserver", (f"{logs}/*.log",)),)
    logrotate = Logrotate(tmp_path, node.logs, tmp_path / "pid")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "overlay")}
    start = "from airflow_service.service_logs import logged; from pathlib import Path; import sys\n"
    start += f"logged.run_logged(Path('{logs}/webserver.log'), 'node-1 webserver', sys.argv[1:])"
    command = [sys.executable, "-c", start, sys.executable, "-c", _SERVICE]
    with running(command, tmp_path / "output", environment) as service:
        wait_for("its log", (logs / "webserver.log").exists, 30, service)
        for _ in range(2):
            time.sleep(1.1)
            logrotate.rotate()
            assert node.ship().problems == []
        assert service.terminate() == 7
    wait_for("last words", lambda: b"last words" in (logs / "webserver.log").read_bytes(), 10)
    node.ship()
    lines = b"".join(texts(s3.objects(bucket)).values()).decode().splitlines()
    assert len(list(logs.iterdir())) == 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z node-1 webserver: ", line) for line in lines)
    said = [line.partition(": ")[2] for line in lines]
    assert said == ["ready line 0", *(f" line {number}" for number in range(1, len(said) - 1)), "last words"]


_WRITER = """
import itertools, signal, sys, time
path, pause, stop = sys.argv[1], float(sys.argv[2]), []
file = open(path, "ab", buffering=0)
def reopen(*_):
    global file
    file = open(path, "ab", buffering=0)
signal.signal(signal.SIGUSR1, reopen)
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
print("ready", flush=True)
for number in itertools.count():
    if stop:
        break
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    file.write(f"[{now}] line {number} {'x' * (number % 300)}\\n".encode())
    time.sleep(pause)
print(number)
"""


@contextmanager
def writing(path: Path, pid: Path, pause: float) -> Iterator[Callable[[], int]]:
    """A process that writes numbered lines and opens its file anew on SIGUSR1; the call ends it, and counts them."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), str(pause)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    pid.write_text(str(process.pid))

    def end() -> int:
        process.terminate()
        return int(process.communicate(timeout=30)[0])

    try:
        yield end
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def killed_runs(folder: Path, url: str, bucket: str) -> Iterator[Callable[[str], str]]:
    """Runs of ship-logs, each killed after some seconds, or `whole`."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'overlay'}:{ROOT / 'tests'}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.killed_runs", str(folder), url, bucket],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip

    def run(until: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{until}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        yield run
    finally:
        process.communicate(timeout=60)


def test_killed_at_any_moment(tmp_path: Path, s3: S3Server, thorough: bool) -> None:
    """Ship-logs is killed again and again, S3 fails at random, logrotate rotates and compresses meanwhile."""
    chance = random.Random(20261122)
    node, bucket = node_on(tmp_path, s3)
    logrotate = Logrotate(tmp_path, node.logs, tmp_path / "pid")
    ends = {"killed": 0, "done": 0}
    with (
        faulty_proxy(s3.url) as proxy,
        writing(node.logs / "access.log", tmp_path / "pid", 0.002) as end,
        killed_runs(tmp_path, proxy.url, bucket) as run,
    ):
        for number in range(400 if thorough else 40):
            _disturb(proxy, chance)
            ends[run("whole" if number % 10 == 9 else f"{chance.random() ** 2 * 0.25:.3f}")] += 1
            if number % 8 == 3:
                logrotate.rotate()
            # What has no gap at the end may have had one in between.
            live = texts(s3.objects(bucket))
            numbers = [line.split()[3] for line in b"".join(live.values()).splitlines()]
            assert len(set(numbers)) == len(numbers), "doubled"
            if thorough and number % 50 == 49:
                node.state.write_text("{")
        lines = end()
        proxy.faults.clear()
        assert run("whole") == "done"
        assert run("whole") == "done"
        problems = (tmp_path / "problems").read_text()
    assert ends["killed"] >= 10
    assert problems == ""
    text = b"".join(texts(s3.objects(bucket)).values()).decode()
    found = [int(line.split()[3]) for line in text.splitlines()]
    assert sorted(found) == list(range(lines)), "lost, or doubled"
    assert found == sorted(found)


def _disturb(proxy: FaultyProxy, chance: random.Random) -> None:
    if chance.random() < 0.5:
        method = chance.choice(["PUT", "GET", "POST", "DELETE"])
        proxy.faults[:] = [Fault(chance.choice(FAULTS), method, times=chance.randint(1, 3))]
