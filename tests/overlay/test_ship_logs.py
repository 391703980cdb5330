"""`airflow-service ship-logs`: what it prints, what it ends with, and what it removes from the disk."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from airflow_service import cli
from airflow_service.service_logs.names import host_name
from airflow_service.service_logs.retention import Limits
from airflow_service.service_logs.state import StateTrouble
from airflow_service.task_logs.journal import Journal, Keeper
from harness.faulty_proxy import faulty_proxy
from harness.log_node import Node, quick_store, texts
from harness.log_store import store_on
from harness.processes import free_port
from harness.s3 import S3Server

_DAY = 86400


class Command:
    """The command on a node that is set up for a bucket."""

    def __init__(self, folder: Path, s3: S3Server, patch: pytest.MonkeyPatch) -> None:
        self.s3, self.bucket, self.patch = s3, s3.bucket(), patch
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.state = folder / "base" / ".shipping" / "services"
        (folder / "logs.toml").write_text(f'[[log]]\nservice = "nginx"\npaths = ["{self.logs}/*.log"]\n')
        (folder / "keys").write_text(
            "[default]\naws_access_key_id = admin\naws_secret_access_key = admin-secret\n"
        )
        patch.setenv("AIRFLOW_HOME", str(folder))
        patch.delenv("AIRFLOW_CONFIG", raising=False)
        self.set("CORE", "REMOTE_LOGGING", "True")
        self.set("CORE", "REMOTE_BASE_LOG_FOLDER", f"s3://{self.bucket}/logs")
        self.set("CORE", "BASE_LOG_FOLDER", str(folder / "base"))
        self.set("SERVICE", "CLUSTER_ID", "eu-1")
        self.set("SERVICE", "SERVICE_LOGS", str(folder / "logs.toml"))
        self.set("SERVICE", "LOGS_ENDPOINT_URL", s3.url)
        self.set("SERVICE", "LOGS_REGION", "us-east-1")
        self.set("SERVICE", "LOGS_CREDENTIALS_FILE", str(folder / "keys"))

    def set(self, section: str, key: str, value: str) -> None:
        self.patch.setenv(f"AIRFLOW__{section}__{key}", value)

    def run(self, *arguments: str) -> int:
        return cli.main(["ship-logs", *arguments])

    def texts(self) -> dict[str, bytes]:
        return texts(self.s3.objects(self.bucket))


@pytest.fixture
def command(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, s3, monkeypatch)


def test_it_ships_and_says_so(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, with time and host where nobody looks on; a dry run does nothing; --status repeats it."""
    (command.logs / "a.log").write_text("2026-11-22 10:15:00 one\n")
    assert command.run("--dry-run") == 0
    assert "would ship 24 bytes of" in capsys.readouterr().out
    assert command.texts() == {}
    assert command.run() == 0
    line = capsys.readouterr().out
    assert line.split()[1:3] == [host_name(), "ship-logs:"]
    assert line.endswith(
        "shipped 24 B of services in 1 segments and 0 finished pieces, and 0 task logs;"
        " removed 0 files (0 B); waiting: 0 B; problems: 0\n"
    )
    assert list(command.texts().values()) == [b"2026-11-22 10:15:00 one\n"]
    assert command.run("--quiet") == 0
    assert capsys.readouterr().out == ""
    assert command.run("--status") == 0
    assert "exit code 0: shipped 0 B" in capsys.readouterr().out
    assert {path.stat().st_mode & 0o777 for path in command.state.iterdir()} <= {0o640, 0o600}


def test_what_it_ends_with(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A code for each kind of trouble, and a message that names it."""
    (command.logs / "a.log").write_text("2026-11-22 10:15:00 one\n")
    assert command.run("--status") == 12
    command.set("SERVICE", "LOGS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert command.run() == 12
    told = capsys.readouterr()
    assert f"problem: {command.logs}/a.log: look at s3://" in told.err
    assert "waiting: 24 B" in told.out
    assert command.run("--status") == 12
    command.set("SERVICE", "LOGS_ENDPOINT_URL", command.s3.url)
    with (command.state / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert command.run() == 15
    assert (
        f"another `airflow-service ship-logs` is at work (process {os.getpid()} since"
        in capsys.readouterr().err
    )
    (tmp_path / "logs.toml").write_text('[[log]]\nservice = "Nginx"\npaths = ["a"]\nmore = 1\n')
    assert command.run() == 78
    told = capsys.readouterr()
    for fault in (
        "log 1: service: 'Nginx' is not a word",
        "log 1: paths: 'a' is no absolute path",
        "log 1: more: there",
    ):
        assert fault in told.err
    command.set("CORE", "REMOTE_LOGGING", "False")
    assert command.run() == 78
    assert "logs are shipped only with remote_logging = True" in capsys.readouterr().err
    assert command.texts() == {}


def test_what_waits(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`logs waiting` knows services' logs by the state that ship-logs keeps, wherever that is, and changes nothing."""
    state = tmp_path / "state"
    for folder, more in ((state, ["--state", str(state)]), (command.state, [])):
        (command.logs / "a.log").write_text("2026-11-22 10:15:00 one\n")
        assert cli.main(["logs", "waiting", *more]) == 0
        told = capsys.readouterr()
        assert told.out == "no task log of this machine waits\n"
        assert "of services' logs nothing is known: no run of ship-logs kept its state in" in told.err
        command.set("SERVICE", "LOGS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        assert command.run(*more) == 12
        capsys.readouterr()
        assert cli.main(["logs", "waiting", *more]) == 0
        told = capsys.readouterr()
        assert f"24 {command.logs}/a.log  (of nginx, as of 2" in told.out
        assert told.out.endswith("24 bytes of 1 logs of this machine wait\n")
        command.set("SERVICE", "LOGS_ENDPOINT_URL", command.s3.url)
        assert command.run(*more) == 0
        capsys.readouterr()
        assert cli.main(["logs", "waiting", *more]) == 0
        assert capsys.readouterr().out == "no log of this machine waits\n"
        file = folder / f"{host_name()}.json"
        file.write_text("{")
        before = sorted(folder.iterdir())
        assert cli.main(["logs", "waiting", *more]) == 0
        told = capsys.readouterr()
        assert f"{file} is damaged" in told.err
        assert told.out == "no task log of this machine waits\n"
        assert sorted(folder.iterdir()) == before


def test_task_logs(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sweep is part of it; what it has finished goes by age, and nothing else does."""
    command.set("SERVICE", "LOGS_KEEP_DAYS", "2")
    base, days = tmp_path / "base", {"old": 3, "young": 1.5, "unknown": 9, "grown": 3}
    paths = {name: base / "dag" / "task" / name / "1.log" for name in days}
    for name, path in paths.items():
        path.parent.mkdir(parents=True)
        path.write_text(f"a line of {name}\n")
        os.utime(path, (time.time() - days[name] * _DAY,) * 2)
        if name != "unknown":
            Keeper(base).save(Journal(f"dag/task/{name}/1.log"))
    assert command.run("--only", "tasks") == 0
    assert "and 3 task logs; removed 0 files" in capsys.readouterr().out
    with paths["grown"].open("a") as file:
        file.write("one more\n")
    os.utime(paths["grown"], (time.time() - 3 * _DAY,) * 2)
    secret = tmp_path / "secret"
    secret.write_text("a line of old\n")
    os.utime(secret, (1, 1))
    told = Journal("../secret", shipped=14, merged=True, device=secret.stat().st_dev, inode=secret.stat().st_ino)
    Keeper(base).save(told, done=True)
    assert command.run("--only", "disk") == 0
    assert [name for name, path in paths.items() if not path.exists()] == ["old"]
    assert command.run("--only", "tasks", "--only", "disk") == 0
    assert [name for name, path in paths.items() if not path.exists()] == ["old", "grown"]
    assert secret.exists()
    objects = command.s3.objects(command.bucket)
    assert objects["logs/dag/task/old/1.log"] == b"a line of old\n"
    assert objects["logs/dag/task/grown/1.log"] == b"a line of grown\none more\n"
    command.set("SERVICE", "LOGS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    Keeper(base).save(Journal("dag/task/unknown/1.log"))
    capsys.readouterr()
    assert command.run("--only", "tasks") == 12
    assert "problem: task log dag/task/unknown/1.log: look at s3://" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write lines until the disk is full."""
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"2026-11-22 10:15:00 line\n" * 1000)


def test_a_disk_that_fills_up(small_disk: Path, s3: S3Server) -> None:
    """The oldest that S3 has go before the disk is full; what S3 has not stays, and is told of."""
    bucket = s3.bucket()
    node = Node(small_disk, quick_store(s3, bucket), limits=Limits(1000, 0, 40))
    for number in (1, 2, 3):
        (node.logs / f"a.log.{number}").write_bytes(b"%d%s\n" % (number, b"x" * 1_500_000))
        os.utime(node.logs / f"a.log.{number}", (time.time() - number * 1000,) * 2)
    outcome = node.ship()
    assert outcome.problems == []
    assert outcome.removed.too_full == []
    assert [path.name for path in outcome.removed.files] == ["a.log.3"]
    # Now with a store that is away, and a disk that is full to the last byte.
    away = store_on(f"http://127.0.0.1:{free_port()}", bucket, small_disk.parent)
    fill(node.logs / "live.log")
    outcome = node.ship(store=away)
    assert sorted(path.name for path in outcome.removed.files) == ["a.log.1", "a.log.2"]
    assert [disk.free_percent < 50 for disk in outcome.removed.too_full] in ([], [True])
    assert (node.logs / "live.log").exists()
    live = (node.logs / "live.log").read_bytes()
    assert node.ship().problems == []
    assert live[: live.rindex(b"\n") + 1] in texts(s3.objects(bucket)).values()


def test_room_is_made_before_anything_is_shipped(command: Command, small_disk: Path) -> None:
    """A sweep may take long: what S3 has goes before it, if the disk is short of room; age and size can wait."""
    base = small_disk / "base"
    command.set("CORE", "BASE_LOG_FOLDER", str(base))
    paths = [base / "dag" / "task" / "run" / f"{number}.log" for number in (1, 2)]
    paths[0].parent.mkdir(parents=True)
    seen: list[bool] = []
    with faulty_proxy(command.s3.url) as proxy:
        command.set("SERVICE", "LOGS_ENDPOINT_URL", proxy.url)
        proxy.before = lambda method, path: seen.append(paths[0].exists())
        for percent, path, there in ((0, paths[0], True), (90, paths[1], False)):
            path.write_bytes(b"x" * 2_000_000 + b"\n")
            os.utime(path, (time.time() - 2 * _DAY,) * 2)
            Keeper(base).save(Journal(path.relative_to(base).as_posix()))
            command.set("SERVICE", "LOGS_MIN_FREE_PERCENT", str(percent))
            seen.clear()
            command.run("--only", "tasks", "--only", "disk")
            assert set(seen) == {there}


def test_a_full_disk_with_nothing_to_remove(small_disk: Path, s3: S3Server) -> None:
    """The state is written into what was kept free for it, and shipping goes on."""
    bucket = s3.bucket()
    node = Node(small_disk, quick_store(s3, bucket), limits=Limits(1000, 0, 30))
    node.write("a.log", "2026-11-22 10:15:00 first")
    node.ship()
    fill(node.logs / "a.log")
    outcome = node.ship()
    assert outcome.problems == []
    assert outcome.shipped.size > 1_000_000
    [disk] = outcome.removed.too_full
    assert disk.free_percent < 30


def test_a_disk_that_takes_nothing(small_disk: Path, s3: S3Server) -> None:
    """Read-only: logs are shipped all the same, nothing is removed, and nothing is doubled afterwards."""
    bucket = s3.bucket()
    node = Node(small_disk, quick_store(s3, bucket), limits=Limits(0, 0, 0))
    node.write("a.log", "2026-11-22 10:15:00 one")
    node.ship()
    node.write("a.log", "2026-11-22 10:15:01 two")
    (node.logs / "a.log").rename(node.logs / "a.log.1")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    outcome = node.ship()
    assert "cannot be written: Read-only file system" in outcome.state_trouble
    assert outcome.removed.files == []
    assert node.ship().state_trouble
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert [path.name for path in node.ship().removed.files] == ["a.log.1"]
    assert list(texts(s3.objects(bucket)).values()) == [b"2026-11-22 10:15:00 one\n2026-11-22 10:15:01 two\n"]


def test_days_and_size(tmp_path: Path, s3: S3Server) -> None:
    """By the last change; never a file that is being written, and of two the older one."""
    node = Node(tmp_path, quick_store(s3, s3.bucket()), limits=Limits(7, 0, 0))
    for name, days in (("a.log", 30), ("a.log.1", 3), ("a.log.2", 8), ("a.log.3.gz", 9)):
        path = node.write(name, f"2026-11-{days:02d} 10:15:00 line")
        if name.endswith(".gz"):
            # No gzip file: it is not shipped, and stays.
            assert path.stat().st_size
        os.utime(path, (time.time() - days * _DAY,) * 2)
    outcome = node.ship()
    assert [path.name for path in outcome.removed.files] == ["a.log.2"]
    assert [problem for problem in outcome.problems if "a.log.3.gz cannot be read" in problem]
    node.limits = Limits(7, 1, 0)
    assert [path.name for path in node.ship().removed.files] == ["a.log.1"]
    assert sorted(path.name for path in node.logs.iterdir()) == ["a.log", "a.log.3.gz"]


def test_a_link_is_not_followed(tmp_path: Path, s3: S3Server) -> None:
    """Whoever may write to a folder of logs could have any file shipped, or removed, by one."""
    bucket = s3.bucket()
    node = Node(tmp_path, quick_store(s3, bucket), limits=Limits(0, 0, 0))
    secret = tmp_path / "secret"
    secret.write_text("2026-11-22 10:15:00 secret\n")
    (node.logs / "a.log").symlink_to(secret)
    (node.logs / "a.log.1").symlink_to(secret)
    os.mkfifo(node.logs / "b.log")
    assert node.ship().problems == []
    assert secret.exists()
    assert s3.objects(bucket) == {}


def test_the_state_is_one_file(tmp_path: Path, s3: S3Server) -> None:
    """With a format, so that another version's is not misread."""
    node = Node(tmp_path, quick_store(s3, s3.bucket()))
    node.write("a.log", "2026-11-22 10:15:00 one")
    node.ship()
    table = json.loads(node.state.read_text())
    table["format"] = 2
    node.state.write_text(json.dumps(table))
    [problem] = node.ship().problems
    assert "is damaged (its format is 2, not 1)" in problem
    node.state.unlink()
    node.state.mkdir()
    with pytest.raises(StateTrouble, match="cannot be read: Is a directory"):
        node.ship()
