"""Tests of `airflow-service logs`, as a process, against a real store."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer, segment
from airflow_service.log_chain.writing import new_id
from airflow_service.object_store import ObjectStore
from airflow_service.task_logs.journal import Journal, Keeper
from harness.log_store import store_on
from harness.processes import free_port, wait_for
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# The checkout lacks the module that the build writes.
_START = """
import sys, types
version = types.ModuleType("airflow_service._version")
version.__dict__.update(VERSION="1.10.15+svc.1", UPSTREAM_VERSION="1.10.15", REVISION=1, BUILD="")
sys.modules["airflow_service._version"] = version
from airflow_service.cli import main
sys.exit(main())
"""
RUN = "dag/task/2026-01-01T00:00:00+00:00"
DAY = "_service/eu-1/node-1/scheduler/2026-11-22"


@dataclass
class Machine:
    """A node with the command, and what its store has."""

    home: Path
    store: ObjectStore
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, user: str = "reader", **settings: str) -> subprocess.Popen[bytes]:
        keys = {"AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": f"{user}-secret"}
        return subprocess.Popen(
            [sys.executable, "-c", _START, "logs", *arguments],
            env={**os.environ, **self.environment, **keys, **settings},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        with self.start(*arguments, **settings) as process:
            out, err = process.communicate(timeout=120)
        assert "Traceback" not in err.decode()
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def machine(s3: S3Server, tmp_path: Path) -> Machine:
    store = store_on(s3.url, s3.bucket(), tmp_path)
    (tmp_path / "logs").mkdir()
    environment = {
        "PYTHONPATH": str(ROOT / "overlay"),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__BASE_LOG_FOLDER": str(tmp_path / "logs"),
        "AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": f"s3://{store.location.bucket}/logs",
        "AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": s3.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Machine(tmp_path, store, environment)


def append(store: ObjectStore, name: str, body: bytes) -> None:
    writer = Writer(store, name)
    writer.append(body, new_id(), writer.end())


def fill(store: ObjectStore) -> None:
    """Two tries, the second one running; another DAG; two days of a service, one packed."""
    store.create(f"{RUN}/1.log", b"try one\n")
    append(store, f"{RUN}/2.log", b"try ")
    append(store, f"{RUN}/2.log", b"two\n")
    store.create("other/task/2026-01-02T00:00:00+00:00/10.log", b"another\n")
    store.create(f"{DAY}/scheduler.log.20261122T000000-abcdef12.gz", gzip.compress(b"begun\nrotated\n"))
    store.create(segment(f"{DAY}/scheduler.log.20261122T120000-12abcdef", 0), b"live\n")
    store.create("_service/eu-1/node-2/nginx/2026-11-22/access.log.gz", gzip.compress(b"of nginx\n"))


def test_listing_and_printing(machine: Machine) -> None:
    """By any filter; each text as it is stored, in order, packed or in segments."""
    fill(machine.store)
    code, out, _ = machine.run("list")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["8", f"{RUN}/1.log"],
        ["8", "live", f"{RUN}/2.log"],
        ["8", "other/task/2026-01-02T00:00:00+00:00/10.log"],
    ]
    code, out, _ = machine.run("list", "--service", "*", "--cluster", "eu-1")
    assert (code, [line.split()[-2] for line in out.splitlines()]) == (0, ["packed", "live", "packed"])
    assert machine.run("list", "--host", "node-2")[1].split()[-1].endswith("nginx/2026-11-22/access.log")
    assert machine.run("print", "--dag", "dag", "--task", "task", "--date", "2026-01-01")[:2] == (
        0,
        "try one\ntry two\n",
    )
    assert machine.run("print", "--dag", "dag", "--try", "2")[:2] == (0, "try two\n")
    assert machine.run("print", "--service", "scheduler", "--day", "2026-11-22")[:2] == (0, "begun\nrotated\nlive\n")
    assert machine.run("print", "--service", "scheduler", "--last", "9")[1] == "rotated\nlive\n"
    # Who may not list names a run in full.
    named = ("--dag", "dag", "--task", "task", "--date", "2026-01-01T00:00:00+00:00")
    assert machine.run("print", *named, user="writer")[:2] == (0, "try one\ntry two\n")


def test_what_goes_wrong_has_its_code(machine: Machine) -> None:
    """And a message that says what, and what to do next."""
    fill(machine.store)
    away = {"AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    nowhere = {"AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": "s3://no-such-bucket-1/logs"}
    local = {"AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": ""}
    for arguments, settings, code, sign in [
        (["print", "--dag", "none"], {}, 20, "no log in s3://"),
        (["list", "--service", "none"], {}, 20, "no log in s3://"),
        (["list"], {"user": "writer"}, 21, "AccessDenied"),
        (["list", "--dag", "dag"], {"user": "nobody"}, 21, "InvalidAccessKeyId"),
        (["list", "--dag", "dag"], nowhere, 21, "no-such-bucket-1"),
        (["list", "--dag", "dag"], away, 22, "Could not connect"),
        (["list", "--dag", "dag"], local, 78, "remote_base_log_folder"),
        (["print"], {}, 2, "give filters"),
        (["print", "--dag", "x", "--host", "y"], {}, 2, "not of both"),
        (["print", "--dag", "x", "--last", "0"], {}, 2, "no number of bytes"),
    ]:
        found = machine.run(*arguments, **settings)
        assert (found[0], sign in found[2]) == (code, True), (arguments, found)


def test_a_closed_pipe_ends_it(machine: Machine) -> None:
    """Without a word, and with success: the reader has what it wanted."""
    machine.store.create(f"{RUN}/1.log", b"a line of a long log\n" * 500_000)
    with machine.start("print", "--dag", "dag") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"a line of a long log\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_following(machine: Machine) -> None:
    """What comes is printed once, through a merge, and the next try's log when that begins; Ctrl-C ends it."""
    append(machine.store, f"{RUN}/1.log", b"one\n")
    out = machine.home / "out"
    with machine.start("print", "--dag", "dag", "-f") as process, out.open("wb") as file:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)

        def printed(text: bytes) -> bool:
            file.write(process.stdout.read() or b"")  # type: ignore[union-attr]
            file.flush()
            return out.read_bytes() == text

        wait_for("the first line", lambda: printed(b"one\n"), 60)
        append(machine.store, f"{RUN}/1.log", b"two\n")
        Writer(machine.store, f"{RUN}/1.log").merge()
        wait_for("what was merged", lambda: printed(b"one\ntwo\n"), 30)
        append(machine.store, f"{RUN}/2.log", b"three\n")
        wait_for("the next try", lambda: printed(b"one\ntwo\nthree\n"), 30)
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert printed(b"one\ntwo\nthree\n")
        assert process.stderr is not None
        told = process.stderr.read().decode()
    assert "Traceback" not in told
    assert [line.rpartition("/")[2] for line in told.splitlines()] == ["1.log <==", "2.log <=="]


def test_what_waits_on_this_machine(machine: Machine) -> None:
    """By the journals; a log that is printed goes on with what is here."""
    code, out, err = machine.run("waiting")
    assert (code, out) == (0, "no task log of this machine waits\n")
    assert "of services' logs nothing is known" in err
    name = f"{RUN}/1.log"
    file = machine.home / "logs" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"shipped\nnot shipped\n")
    machine.store.create(segment(name, 0), b"shipped\n")
    Keeper(machine.home / "logs").save(Journal(name, shipped=8))
    code, out, _ = machine.run("waiting")
    assert code == 0
    assert f"12 {name}  (to be shipped" in out
    assert out.endswith("12 bytes of 1 task logs of this machine wait\n")
    code, out, err = machine.run("print", "--dag", "dag")
    assert (code, out) == (0, "shipped\nnot shipped\n")
    assert "the last 12 bytes are of this machine" in err
