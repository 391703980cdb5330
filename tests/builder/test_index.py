"""Tests of builder.index: real downloads from a package index on the loopback, good and bad."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tiny_release import ADMIN, REFERENCE, ROOT, SDIST, Checkout, FakeIndex, release_files, send

from builder import index as index_module
from builder.errors import HashMismatch, IndexFailure
from builder.index import Index
from builder.pip import pip_settings


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip that waits for a third of a second."""
    monkeypatch.setenv("PIP_TIMEOUT", "0.3")


def downloads(surroundings: Path) -> list[str]:
    """What the cache holds: the names of its files."""
    return sorted(path.name for path in (surroundings / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("form", ["json", "html"])
@pytest.mark.parametrize("hashes", [True, False])
def test_both_forms_of_the_simple_api(
    empty_checkout: Checkout, index: FakeIndex, form: str, hashes: bool
) -> None:
    """JSON and HTML, with and without hashes, give the same verified files; a yanked one is no obstacle."""
    index.form, index.hashes, index.yanked = form, hashes, True
    printed = empty_checkout.succeed("fetch").out.splitlines()
    files = release_files()
    expected = {SDIST: "tiny-app", REFERENCE: "tiny-app", ADMIN: "tiny-admin"}
    assert {Path(line).name: Path(line).read_bytes() for line in printed} == {
        name: files[project][name] for name, project in expected.items()
    }


def test_only_the_simple_api_is_asked(empty_checkout: Checkout, index: FakeIndex) -> None:
    """Mirrors lack an index's own API: nothing but project pages and files is asked for."""
    empty_checkout.succeed("fetch")
    assert all(path.startswith(("/simple/", "/files/")) for path in index.asked)


def test_a_second_run_asks_nobody(empty_checkout: Checkout, index: FakeIndex) -> None:
    """What is downloaded is kept by its hash, and neither the index nor pip is asked again."""
    empty_checkout.succeed("fetch")
    index.asked.clear()
    empty_checkout.succeed("fetch")
    assert index.asked == []


def test_a_cached_file_that_lost_bytes_is_fetched_anew(
    empty_checkout: Checkout, index: FakeIndex, surroundings: Path
) -> None:
    """The cache is verified too, each time: a disk can fail."""
    empty_checkout.succeed("fetch")
    [kept] = (surroundings / "cache").rglob(SDIST)
    raw = kept.read_bytes()
    for damaged in (raw[:-1], bytes([raw[0] ^ 1]) + raw[1:]):
        kept.write_bytes(damaged)
        empty_checkout.succeed("fetch")
        assert kept.read_bytes() == raw


def test_a_wrong_hash_ends_the_build(empty_checkout: Checkout, index: FakeIndex, surroundings: Path) -> None:
    """A file of the right size and other content is told with both sums, deleted, and never run."""
    raw = index.projects["tiny-app"][SDIST]
    other = raw[:-1] + bytes([raw[-1] ^ 1])
    index.projects["tiny-app"][SDIST] = other
    ran = empty_checkout.run("dist")
    assert ran.code == HashMismatch.exit_code == 13
    assert f"{SDIST} is not the file that is pinned" in ran.err
    assert hashlib.sha256(raw).hexdigest() in ran.err
    assert hashlib.sha256(other).hexdigest() in ran.err
    assert "No flag turns this off" in ran.err
    assert downloads(surroundings) == []
    assert not empty_checkout.tree.exists()
    assert empty_checkout.snapshot("dist") == {}


def test_a_longer_file_is_given_up_early(
    empty_checkout: Checkout, index: FakeIndex, surroundings: Path
) -> None:
    """A file without end does not fill the disk: it is dropped once it is longer than the pin."""

    def endless(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(bytes(1 << 16))

    index.behaviours[SDIST] = endless
    ran = empty_checkout.run("fetch")
    assert ran.code == HashMismatch.exit_code
    assert downloads(surroundings) == []


def cut_short(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """Promise it all, send half, and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


def test_an_interrupted_download_leaves_nothing(
    empty_checkout: Checkout, index: FakeIndex, surroundings: Path
) -> None:
    """A connection that breaks each time ends with 12, without a half file; the next run succeeds."""
    index.behaviours[SDIST] = cut_short
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code == 12
    assert f"{SDIST} cannot be downloaded" in ran.err
    assert "next: " in ran.err
    assert downloads(surroundings) == []
    assert index.asked.count(f"/files/{SDIST}") == 3
    index.behaviours.clear()
    empty_checkout.succeed("fetch")


def test_one_interruption_is_survived(empty_checkout: Checkout, index: FakeIndex) -> None:
    """A transfer is tried anew, from its beginning."""

    def once(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        del index.behaviours[SDIST]
        cut_short(handler, content)

    index.behaviours[SDIST] = once
    empty_checkout.succeed("fetch")


def test_a_truncated_file_is_a_mismatch(
    empty_checkout: Checkout, index: FakeIndex, surroundings: Path
) -> None:
    """A mirror that holds, and announces, only half of a file is found out by the sum."""
    index.behaviours[SDIST] = lambda handler, content: send(handler, content[:100])
    ran = empty_checkout.run("fetch")
    assert ran.code == HashMismatch.exit_code
    assert "got      100 bytes" in ran.err
    assert downloads(surroundings) == []


def test_an_unreachable_index(
    empty_checkout: Checkout, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: exit code 12, and what pip is set up for is where to look."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/simple")
        ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "tiny-app" in ran.err
    assert "`pip config list` shows what is asked" in ran.err
    assert downloads(surroundings) == []


@pytest.mark.parametrize("what", ["tiny-app", SDIST])
def test_a_slow_index_is_given_up(
    empty_checkout: Checkout, index: FakeIndex, impatient: None, what: str
) -> None:
    """An index that says nothing for pip's own timeout is a failure, not a hang."""

    def never(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        time.sleep(1.5)
        handler.close_connection = True

    index.behaviours[what] = never
    begun = time.monotonic()
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "timed out" in ran.err
    assert time.monotonic() - begun < 20


def test_an_index_without_the_project(empty_checkout: Checkout, index: FakeIndex) -> None:
    """A project that no index has is named, with what the index answered."""
    del index.projects["tiny-admin"]
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "no package index offers tiny-admin" in ran.err
    assert "404" in ran.err


def test_an_index_without_the_file(empty_checkout: Checkout, index: FakeIndex) -> None:
    """A mirror that keeps only wheels is told apart from one that has nothing."""
    del index.projects["tiny-app"][SDIST]
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert f"the package index has tiny-app, but not the file {SDIST}" in ran.err


@pytest.mark.parametrize(
    "page",
    [
        b"{",
        b"[]",
        b'{"files": 3}',
        b'{"files": [{"url": "http://[bad"}]}',
        b"\xff\xfe\x00",
        b'{"files": [{}]}',
    ],
)
def test_a_page_that_is_no_index_page(empty_checkout: Checkout, index: FakeIndex, page: bytes) -> None:
    """A page that nobody can read is a failure of the index, not of the build."""
    index.behaviours["tiny-app"] = lambda handler, _: send(
        handler, page, "application/vnd.pypi.simple.v1+json"
    )
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code, ran.err


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_index_that_refuses(empty_checkout: Checkout, index: FakeIndex, status: int) -> None:
    """A refused file is told with the answer's number."""
    index.behaviours[SDIST] = lambda handler, _: send(handler, b"no", status=status)
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert str(status) in ran.err
    # A refusal is final; an error of the server's may be over in a moment.
    assert index.asked.count(f"/files/{SDIST}") == (1 if status < 500 else 3)


@pytest.mark.parametrize("what", ["tiny-app", SDIST])
def test_a_server_that_drips_is_given_up(
    empty_checkout: Checkout, index: FakeIndex, impatient: None, what: str, surroundings: Path
) -> None:
    """A byte now and then keeps no build waiting: neither for a page nor for a file."""

    def drip(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    index.behaviours[what] = drip
    begun = time.monotonic()
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "too slow: " in ran.err
    assert time.monotonic() - begun < 20
    assert downloads(surroundings) == []


def test_a_length_that_is_no_number(index: FakeIndex, tmp_path: Path) -> None:
    """What a server announces is for the progress alone: nonsense is no crash."""

    def nonsense(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "many")
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    index.behaviours[SDIST] = nonsense
    with Index(pip_settings()) as asked:
        link = asked.link("tiny-app", SDIST)
        with suppress(IndexFailure):
            asked.download(link, tmp_path / "file")


def test_a_login_page_instead_of_the_file(empty_checkout: Checkout, index: FakeIndex) -> None:
    """A proxy that answers with a page of its own is found out by the sum."""
    index.behaviours[SDIST] = lambda handler, _: send(handler, b"<html>log in", "text/html")
    assert empty_checkout.run("fetch").code == HashMismatch.exit_code


def test_a_second_build_works_without_network(
    empty_checkout: Checkout, surroundings: Path, monkeypatch: pytest.MonkeyPatch, index: FakeIndex
) -> None:
    """Once all is downloaded, a fresh build in the same account asks for nothing at all."""
    empty_checkout.succeed("fetch")
    index.asked.clear()

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    def refused_connection(one: socket.socket, *_: object) -> None:
        one.close()  # its caller closes it at an OSError only
        refused()

    monkeypatch.setattr(socket.socket, "connect", refused_connection)
    monkeypatch.setattr(index_module, "pip_settings", refused)
    empty_checkout.succeed("dist")
    assert index.asked == []


def test_a_download_that_was_killed_is_begun_anew(
    empty_checkout: Checkout, index: FakeIndex, surroundings: Path
) -> None:
    """`kill -9` in the middle of a download leaves nothing that a later run takes for the file."""
    processes: list[subprocess.Popen[bytes]] = []

    def kill_in_the_middle(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:200])
        handler.wfile.flush()
        time.sleep(0.2)
        processes[0].kill()

    index.behaviours[SDIST] = kill_in_the_middle
    code = "import sys; from pathlib import Path; from builder.cli import main; main(['fetch'], Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(empty_checkout.root)]
    processes.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL))
    assert processes[0].wait(60) == -9
    index.behaviours.clear()
    empty_checkout.succeed("fetch")
    [left] = [name for name in downloads(surroundings) if name.startswith(".")]
    # Another build may be at work on it: it is removed once it is old.
    [path] = (surroundings / "cache").rglob(left)
    os.utime(path, (0, 0))
    (path.parent / SDIST).unlink()
    empty_checkout.succeed("fetch")
    assert downloads(surroundings) == sorted([SDIST, REFERENCE, ADMIN])
