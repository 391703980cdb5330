"""What becomes of a line: its file, its secrets, and a disk that does not take it."""

from __future__ import annotations

import os
import resource
import signal
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_service.task_logs import local_log, secrets
from airflow_service.task_logs.local_log import LocalLog
from airflow_service.task_logs.paths import safe_relative
from airflow_service.task_logs.secrets import (
    is_sensitive,
    masked,
    remember,
    remember_connections,
    remember_variable,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    yield
    secrets.forget()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_log, "_LOOK_EVERY", -1.0)


def no_wait(size: int) -> int:
    return 0


@pytest.mark.parametrize(
    "name",
    [
        "dag/task/2020-01-01T00:00:00+00:00/1.log",
        "a.b/c-d_e/2020/1.log",
        "ü/…/1.log",
        f"{'x' * 249}/t/2020/1.log",
    ],
)
def test_ordinary_names_stay(name: str) -> None:
    assert safe_relative(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/1.log", "%2E%2E/%2E%2E/etc/1.log"),
        ("a/./1.log", "a/%2E/1.log"),
        ("a//1.log", "a/%/1.log"),
        ("/a/1.log", "a/1.log"),
        ("a\0b/1.log", "a%00b/1.log"),
    ],
)
def test_names_that_lead_elsewhere(name: str, safe: str) -> None:
    assert safe_relative(name) == safe


@given(st.text())
def test_any_name(name: str) -> None:
    """It stays below the folder, and a file system takes it."""
    steps = safe_relative(name).split("/")
    assert all(step not in ("", ".", "..") and "\0" not in step for step in steps)
    assert all(len(f"{step}.parts".encode("utf-8", "surrogateescape")) <= 255 for step in steps)
    assert safe_relative(safe_relative(name)) == safe_relative(name)


def test_long_names_differ() -> None:
    """What is cut off is told apart by its digest; the ending stays."""
    one, two = (safe_relative(f"{'ü' * 300}{end}/1.log") for end in "ab")
    assert one != two
    assert safe_relative("x" * 300 + ".log").endswith(".log")


def test_secrets_of_connections() -> None:
    """Passwords and what stands under the name of a secret; not every extra."""
    connection = types.SimpleNamespace(
        password='pass"word/1',
        extra_dejson={
            "aws_secret_access_key": "s3cr3t-key",
            "aws_access_key_id": "AKIA-public",
            "region": "eu-central-1",
            "keyfile_dict": {
                "private_key": "-----BEGIN KEY-----\nline-of-key-1\nline-of-key-2\n-----END KEY-----"
            },
            "nested": [{"token": "tok-in-list"}],
            "key_path": "/etc/key",
        },
    )
    broken = types.SimpleNamespace()
    remember_connections([broken, connection])
    for secret in (
        'pass"word/1',
        "pass%22word%2F1",
        'pass\\"word/1',
        "s3cr3t-key",
        "line-of-key-2",
        "tok-in-list",
    ):
        assert masked(f"a {secret} b") == "a *** b"
    for public in ("AKIA-public", "eu-central-1", "/etc/key", "-----BEGIN KEY-----"):
        assert masked(public) == public


def test_secrets_of_variables() -> None:
    remember_variable("plain", "not-a-secret")
    remember_variable("db_password", "letmein-1")
    remember_variable("api_token_json", '{"a": "first-one", "b": ["second-one"]}')
    remember_variable("secret", "{not json-at-all")
    assert (
        masked("not-a-secret letmein-1 first-one second-one {not json-at-all")
        == "not-a-secret *** *** *** ***"
    )


def test_what_is_no_secret() -> None:
    """Short texts and everyday words would tear the log."""
    remember("", None, "abcd", "airflow", "true", "None")
    assert masked("abcd airflow true None") == "abcd airflow true None"
    remember("abc-de", "abc-de-longer")
    assert masked("abc-de-longer") == "***"
    assert not is_sensitive("owner")


def test_many_secrets() -> None:
    """Beyond some they are found by some characters of each."""
    remember(*(f"secret-{number:03d}" for number in range(100)))
    assert masked("secret-007 and secret-099, not secret-100") == "*** and ***, not secret-100"


def test_a_file_for_the_service_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = LocalLog(tmp_path / "a" / "b" / "1.log", 1 << 20, no_wait)
    finally:
        os.umask(before)
    log.write("ü\udcff\n")
    log.write("lone \ud800\n")
    log.close()
    log.close()
    assert log.path.read_bytes() == b"\xc3\xbc\xff\nlone \\ud800\n"
    assert log.path.stat().st_mode & 0o777 == 0o640
    assert log.path.parent.stat().st_mode & 0o777 == 0o750


def test_a_file_that_goes(tmp_path: Path, impatient: None) -> None:
    """It is made anew; one that was cut is gone on with."""
    log = LocalLog(tmp_path / "1.log", 1 << 20, no_wait)
    log.write("one\n")
    log.path.unlink()
    log.write("two\n")
    assert log.path.read_text() == "two\n"
    os.truncate(log.path, 0)
    log.write("three\n")
    log.close()
    assert log.path.read_text() == "three\n"


def test_a_full_disk(tmp_path: Path) -> None:
    """Lines that it does not take are counted, and told of when it does; no error comes out of it."""
    log = LocalLog(tmp_path / "1.log", 1 << 20, no_wait)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        log.write("12345\n")
        log.write("is cut here\n")
        log.write("lost\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    log.write("after\n")
    log.close()
    lines = log.path.read_text().splitlines()
    assert lines[:2] == ["12345", "is c"]
    assert lines[2].startswith("*** 2 lines could not be kept here: File too large")
    assert lines[3:] == ["after"]


def test_too_much_waits(tmp_path: Path, impatient: None) -> None:
    """Beyond the limit nothing is kept until S3 has taken some."""
    waits = 0
    log = LocalLog(tmp_path / "1.log", 10, lambda size: waits)
    log.write("0123456789\n")
    waits = 11
    log.write("lost\n")
    log.write("lost\n")
    waits = 1
    log.write("kept\n")
    log.close()
    assert log.path.read_text() == (
        "0123456789\n*** 2 lines could not be kept here: more than 0 MiB wait for S3\nkept\n"
    )


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """It is told once, to the handler."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="directory"):
        LocalLog(tmp_path / "file" / "1.log", 1, no_wait)


@pytest.mark.parametrize("length", range(5, 30))
def test_many_secrets_are_found_anywhere(length: int) -> None:
    """Wherever in a line they begin, also in a long one; what only begins or ends so stays."""
    many = [f"{number:03d}" + "abcdefghijklmnopqrstuvwxyz+-"[: length - 3] for number in range(60)]
    remember(*many)
    for before in (*range(24), 4095, 16384, 16390):
        for secret in (many[7], many[59]):
            line = "-" * before
            assert masked(f"{line}{secret}/") == f"{line}***/"
            assert masked(line + secret) == f"{line}***"
            assert masked(f"{line}{secret[:-1]}/{secret[1:]}") == f"{line}{secret[:-1]}/{secret[1:]}"


def test_long_secrets_are_found_anywhere() -> None:
    """Wherever in a line they begin, and however many they are."""
    secret = "0123456789abcdefghijklm"
    remember(secret, "x" * 22)
    for before in range(40):
        assert masked(f"{'-' * before}{secret}-") == f"{'-' * before}***-"
        assert masked(f"{'-' * before}{secret[:-1]}-") == f"{'-' * before}{secret[:-1]}-"
        assert masked(f"{'-' * before}{'x' * 22}-") == f"{'-' * before}***-"


def test_too_many_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is given up, not the one that the task has just read; what is read again is young."""
    monkeypatch.setattr(secrets, "_MOST", 3)
    remember("secret-1", "secret-2", "secret-3", "secret-1", "secret-4")
    assert masked("secret-1 secret-2 secret-3 secret-4") == "*** secret-2 *** ***"


def test_numbers_and_regions() -> None:
    """A number may be a secret; a name is harmless only if it is a region's, and does not just begin with one."""
    extra = {"pin_token": 123456, "token": [True, 1234], "eu_region_password": "of-a-region", "region_key": "r-key"}
    remember_connections(
        [types.SimpleNamespace(password=None, extra_dejson={**extra, "region_name": "eu-1-name"})]
    )
    assert masked("123456 True 1234 of-a-region r-key eu-1-name") == "*** True 1234 *** *** eu-1-name"
