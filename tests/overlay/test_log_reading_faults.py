"""Reading logs while the store hangs, others read and write, and a line does not end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from airflow_service.log_chain import Writer, segment
from airflow_service.log_chain.writing import new_id
from airflow_service.log_reading import bounded
from airflow_service.log_reading.bounded import Bounded
from airflow_service.log_reading.extents import Memory
from airflow_service.log_reading.joined import WithLocalTail
from airflow_service.log_reading.on_machines import LocalFile
from airflow_service.log_reading.pages import PAGE
from airflow_service.log_reading.source import Source
from airflow_service.log_reading.stored import StoredText
from harness.faulty_proxy import Fault, faulty_proxy
from harness.log_readers import Follower
from harness.log_store import store_on
from harness.processes import wait_for
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"


def local_log(folder: Path, text: bytes) -> LocalFile:
    file = folder / LOG
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    return LocalFile(str(folder), LOG)


def test_a_store_that_hangs(s3: S3Server, tmp_path: Path) -> None:
    """A look waits for it a set time, shows what this machine has, and says why; later ones do not wait at all."""
    local = local_log(tmp_path / "logs", b"here\n")
    bucket = s3.bucket()
    store_on(s3.url, bucket, tmp_path).create(LOG, b"here\nand there\n")
    with faulty_proxy(s3.url) as proxy:
        store = store_on(proxy.url, bucket, tmp_path, "reader")

        def sources() -> list[Source]:
            return [WithLocalTail(Bounded(StoredText(store, LOG, Memory()), patience), local), local]

        patience = 1.0

        proxy.faults[:] = [Fault("stall", "GET", times=99)]
        for _ in range(bounded._MOST_HANGING):
            page = Follower(sources)
            begun = time.monotonic()
            look = page.look()
            assert 0.9 < time.monotonic() - begun < 5
            assert page.text == "here\n"
            assert look.trouble == f"{store.url(LOG)}: no answer within 1 seconds"
            # The store may have more: whoever asks goes on asking.
            assert not look.is_at_end
        begun = time.monotonic()
        look = page.look()
        assert time.monotonic() - begun < 0.8
        assert "earlier requests still wait" in look.trouble
    # The requests have ended: it is asked again, and the page goes on there.
    wait_for("the end of the requests", lambda: not bounded._HANGING.count("s3"), 60)
    store, patience = store_on(s3.url, bucket, tmp_path, "reader"), 60.0
    look = page.look()
    assert (look.where, look.trouble, page.text) == (store.url(LOG), "", "here\nand there\n")


def test_a_store_that_hangs_while_a_page_is_read(s3: S3Server, tmp_path: Path) -> None:
    """It told the size, and then nothing: what this machine has is shown."""
    local = local_log(tmp_path / "logs", b"here\n")
    bucket = s3.bucket()
    store_on(s3.url, bucket, tmp_path).create(segment(LOG, 0), b"here\nand there\n")
    with faulty_proxy(s3.url) as proxy:
        store = store_on(proxy.url, bucket, tmp_path, "reader")
        text = StoredText(store, LOG, Memory())
        text.size()
        looking = len(proxy.requests)

        def stall_after(method: str, path: str) -> None:
            if len(proxy.requests) == 2 * looking:
                proxy.faults[:] = [Fault("stall", "GET", times=99)]

        proxy.before = stall_after
        stored = Bounded(StoredText(store, LOG, Memory()), 1)
        page = Follower(lambda: [stored, local])
        look = page.look()
        assert (page.text, look.where) == ("here\n", local.where)
        assert look.trouble == f"{store.url(LOG)}: no answer within 1 seconds"
    wait_for("the end of the requests", lambda: not bounded._HANGING.count("s3"), 60)


# What a page is asked for by one look after the other, until standard input ends; then what it shows.
_READ = """
import json, sys, threading
from pathlib import Path
from airflow_service.log_reading.bounded import Bounded
from airflow_service.log_reading.stored import StoredText
from harness.log_readers import Follower
from harness.log_store import store_on

url, bucket, folder, user, log = sys.argv[1:]
store = store_on(url, bucket, Path(folder), user)
page = Follower(lambda: [Bounded(StoredText(store, log), 60)])
has_ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), has_ended.set()), daemon=True).start()
page.look()
print("reads", flush=True)
while not has_ended.wait(0.05):
    page.look()
page.catch_up()
page.go_up()
trouble = [look.trouble or "anew" for look in page.looks if look.page and (look.trouble or look.begins_anew)]
grown = len({look.size for look in page.looks})
print(json.dumps({"text": page.text, "trouble": trouble, "grown": grown}))
"""


def test_two_processes_read_a_log_that_grows(s3: S3Server, tmp_path: Path) -> None:
    """Each as a webserver has it, while the log is written and merged: both show all of it, once."""
    bucket = s3.bucket()
    admin = store_on(s3.url, bucket, tmp_path)
    chance = random.Random(3)
    bodies = [
        "".join(f"{part}.{line} {'äö€𝄞'[line % 4] * chance.randrange(30)}\n" for line in range(40)).encode()
        for part in range(40)
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with contextlib.ExitStack() as stack:
        readers = []
        for user in ("reader", "writer"):
            command = [sys.executable, "-c", _READ, s3.url, bucket, str(tmp_path), user, LOG]
            reader = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(reader)
            stack.callback(reader.kill)
            readers.append(reader)
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reads\n"
        writer = Writer(admin, LOG)
        for number, body in enumerate(bodies):
            writer.append(body[: len(body) // 2], new_id(), writer.end())
            # The other half begins within a character, or a line.
            writer.append(body[len(body) // 2 :], new_id(), writer.end())
            if number % 10 == 9:
                writer.merge()
                writer = Writer(admin, LOG)
        for reader in readers:
            told = json.loads(reader.communicate(timeout=60)[0])
            assert told["trouble"] == []
            assert told["grown"] > 5, "it read while the log was written"
            assert told["text"] == b"".join(bodies).decode()


def test_a_line_without_end(s3: S3Server, tmp_path: Path) -> None:
    """Of 50 MB, a look asks for a page, and says that it begins within a line."""
    admin = store_on(s3.url, s3.bucket(), tmp_path)
    line = "€".encode() * (50_000_000 // 3)
    admin.create(LOG, b"first\n" + line)
    page = Follower(lambda: [Bounded(StoredText(admin, LOG, Memory()))])
    look = page.look()
    assert look.page is not None
    assert look.page.within_line
    assert set(page.text) == {"€"}
    assert PAGE - 3 <= len(page.text.encode()) <= PAGE
    assert look.is_at_end
