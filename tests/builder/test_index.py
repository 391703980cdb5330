"""Tests of builder.index: real downloads from a package index on the loopback, good and bad."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tiny_release import ADMIN, REFERENCE, ROOT, SDIST, Checkout, FakeIndex, release_files, send, serving

from builder import index as index_module
from builder import pip
from builder.errors import HashMismatch, IndexFailure
from builder.index import Index
from builder.pip import IndexSettings, pip_settings


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


@pytest.mark.parametrize("way", ["url", "netrc"])
def test_an_index_that_asks_for_a_password(
    empty_checkout: Checkout, index: FakeIndex, surroundings: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The password of the index's URL, or of ~/.netrc, is used; the user is never asked."""
    index.password = "open sesame"
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    if way == "url":
        monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//reader:open%20sesame@") + "/simple")
    else:
        netrc = surroundings / ".netrc"
        netrc.write_text('machine 127.0.0.1 login reader password "open sesame"\n', "utf-8")
        netrc.chmod(0o600)
    empty_checkout.succeed("fetch")


def test_a_password_is_in_no_message(
    empty_checkout: Checkout, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failure prints goes into logs that others read."""
    index.password = "open"
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//reader:sesame@") + "/simple")
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "sesame" not in ran.err


def test_extra_indexes_and_find_links(
    empty_checkout: Checkout, index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the main index lacks comes from an extra index, or from a plain folder."""
    with serving(FakeIndex({"tiny-admin": index.projects.pop("tiny-admin")}, form="html")) as extra:
        folder = tmp_path / "wheels of mine"
        folder.mkdir()
        (folder / REFERENCE).write_bytes(index.projects["tiny-app"].pop(REFERENCE))
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://127.0.0.1:9/simple {extra.url}/simple")
        monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
        empty_checkout.succeed("fetch")


def test_no_index_means_the_folder_alone(
    empty_checkout: Checkout, index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pip's no-index no server is asked, even where one is named."""
    for files in index.projects.values():
        for name, raw in files.items():
            (tmp_path / name).write_bytes(raw)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    empty_checkout.succeed("fetch")
    assert index.asked == []


def test_pips_configuration_file(
    real_pip: None,
    empty_checkout: Checkout,
    index: FakeIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The index of a pip.conf is asked, as pip itself would."""
    monkeypatch.delenv("PIP_INDEX_URL")
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.url}/simple\n", "utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    empty_checkout.succeed("fetch")


def listed(monkeypatch: pytest.MonkeyPatch, lines: str) -> IndexSettings:
    done = subprocess.CompletedProcess([], 0, stdout=lines, stderr="")
    monkeypatch.setattr(pip.subprocess, "run", lambda *_, **__: done)
    return pip_settings()


# pip up to 25 lists the environment first, later ones last.
ENVIRONMENT = ":env:.index-url='http://environment/'\n:env:.default-timeout='7'\n"
FILES = (
    "download.index-url='http://download/'\nglobal.index-url='http://global/'\nglobal.timeout='60'\n"
    "global.trusted-host='one two'\ninstall.index-url='http://install/'\ninstall.find-links='\\n/a\\n/b'\nlist.x='1'\n"
)


@pytest.mark.parametrize("lines", [ENVIRONMENT + FILES, FILES + ENVIRONMENT])
def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """In whichever order pip lists them: environment, then the command's section, then the global one."""
    settings = listed(monkeypatch, lines)
    assert settings.index_url == "http://environment/"
    assert settings.timeout == 7
    assert settings.trusted_hosts == ("one", "two")
    assert settings.find_links == ("/a", "/b")


def test_a_commands_section_wins_over_the_global_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `pip download`."""
    assert listed(monkeypatch, FILES).index_url == "http://download/"


def test_without_configuration_the_public_index_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unconfigured pip asks the public index over https, and so does the build."""
    [url] = listed(monkeypatch, "").index_urls
    assert url.startswith("https://")
    assert url.endswith("/simple/")


def test_no_index_is_named_in_the_repository() -> None:
    """Which index is asked is pip's configuration: no file of the checkout names the public one."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    host = urlsplit(IndexSettings().index_urls[0]).hostname or "no host"
    done = subprocess.run(
        ["git", "grep", "-l", "-F", host], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    "line", ["global.timeout='soon'", "global.cert='/no/such/file.pem'", "global.proxy='nonsense'"]
)
def test_a_setting_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """A mistake in pip's configuration is told as such."""
    with pytest.raises(IndexFailure, match=r"pip's (timeout|cert)"):
        Index(listed(monkeypatch, line))


def test_a_broken_configuration_file_is_told(
    real_pip: None, empty_checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's own words about it are shown; the public index is not asked instead."""
    (tmp_path / "pip.conf").write_text("index-url = nothing before a section\n", "utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    ran = empty_checkout.run("fetch")
    assert ran.code == IndexFailure.exit_code
    assert "pip cannot say how it is set up" in ran.err


def test_the_users_own_pip_is_asked(
    surroundings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter that the user started knows of configuration that the build's environment does not."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"global.index-url='http://mine/'\"\n", "utf-8")
    python.chmod(0o755)
    monkeypatch.setenv("BUILD_BASE_PYTHON", str(python))
    assert pip_settings().index_url == "http://mine/"
    python.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    assert pip_settings().index_url == "http://127.0.0.1:9/simple"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(path), "-out", str(path) + ".crt", "-days", "2", "-subj", "/CN=tests"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(str(path) + ".crt").read_text())
    return path


@pytest.fixture
def https_index(index: FakeIndex, certificate: Path) -> Iterator[FakeIndex]:
    with serving(FakeIndex(index.projects), certificate) as served:
        yield served


@pytest.mark.parametrize("trust", ["cert", "trusted-host", ""])
def test_https_with_a_certificate_of_ones_own(
    empty_checkout: Checkout,
    https_index: FakeIndex,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    trust: str,
) -> None:
    """pip's cert and trusted-host hold here too; without either an unknown certificate is refused."""
    monkeypatch.setenv("PIP_INDEX_URL", f"{https_index.url}/simple")
    if trust == "cert":
        monkeypatch.setenv("PIP_CERT", str(certificate))
    elif trust:
        monkeypatch.setenv("PIP_TRUSTED_HOST", https_index.url.removeprefix("https://"))
    ran = empty_checkout.run("fetch")
    assert ran.code == (0 if trust else IndexFailure.exit_code), ran.err
    assert trust or "certificate" in ran.err.lower()


def test_a_second_build_works_without_network(
    empty_checkout: Checkout, surroundings: Path, monkeypatch: pytest.MonkeyPatch, index: FakeIndex
) -> None:
    """Once all is downloaded, a fresh build in the same account asks for nothing at all."""
    empty_checkout.succeed("fetch")
    index.asked.clear()

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refused)
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
