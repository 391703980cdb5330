"""Tests of airflow_service.log_server: tokens for one file and a short time, and nothing outside of the folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from airflow_service import log_server
from airflow_service.log_files import open_log
from airflow_service.log_server import (
    LEEWAY,
    LIFE,
    Refused,
    WeakKey,
    check_token,
    key_fault,
    sign,
    signing_key,
)
from hypothesis import given
from hypothesis import strategies as st

KEY = b"k" * 32
NAME = "pair/first/2026-01-01T00:00:00+00:00/1.log"


def token(now: float = 0, *, key: bytes = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """What `sign` makes, `now` seconds from now, with some claims changed; None takes one out."""
    start = int(time.time() + now)
    made = {"aud": "airflow-log-server", "file": NAME, "iat": start, "exp": start + LIFE, **claims}
    return jwt.encode({name: value for name, value in made.items() if value is not None}, key, algorithm)


def test_what_is_signed_is_let_in() -> None:
    """With clocks that are a minute apart, either way, too."""
    check_token(f"Bearer {sign(NAME, KEY)}", NAME, KEY)
    for seconds in (-60, 60):
        check_token(f"Bearer {token(seconds)}", NAME, KEY)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: "", "no token"),
        (lambda: "Bearer", "no token"),
        (lambda: f"Basic {token()}", "no token"),
        (lambda: token(), "no token"),
        (lambda: f"Bearer {token()[:-1]}", "not valid"),
        (lambda: f"Bearer {token()} x", "not valid"),
        (lambda: "Bearer \x00é", "not valid"),
        (lambda: f"Bearer {'.' * 10000}", "not valid"),
        (lambda: f"Bearer {token(-LIFE - LEEWAY - 5)}", "ExpiredSignatureError"),
        (lambda: f"Bearer {token(LEEWAY + 60)}", "ImmatureSignatureError"),
        (lambda: f"Bearer {token(exp=int(time.time()) + 3600)}", "for too long"),
        (lambda: f"Bearer {token(exp=None)}", "MissingRequiredClaimError"),
        (lambda: f"Bearer {token(iat=None)}", "MissingRequiredClaimError"),
        (lambda: f"Bearer {token(aud=None)}", "MissingRequiredClaimError"),
        (lambda: f"Bearer {token(aud='airflow')}", "InvalidAudienceError"),
        (lambda: f"Bearer {token(file=None)}", "MissingRequiredClaimError"),
        (lambda: f"Bearer {token(file=NAME + '/../2.log')}", "another file"),
        (lambda: f"Bearer {token(file=[NAME])}", "another file"),
        (lambda: f"Bearer {token(file=NAME.upper())}", "another file"),
        (lambda: f"Bearer {token(key=b'x' * 32)}", "InvalidSignatureError"),
        (lambda: f"Bearer {token(key=KEY * 2, algorithm='HS512')}", "InvalidAlgorithmError"),
        (lambda: f"Bearer {jwt.encode({'file': NAME}, None, 'none')}", "InvalidAlgorithmError"),
    ],
)
def test_what_is_refused(make: Callable[[], str], reason: str) -> None:
    """Each for the reason that goes into the log. They are made when the test runs: tokens grow old."""
    with pytest.raises(Refused, match=reason):
        check_token(make(), NAME, KEY)


@given(st.text(max_size=60))
def test_no_token_of_another_name(name: str) -> None:
    """Whatever the name, its token is good for it, and for no other."""
    made = f"Bearer {sign(name, KEY)}"
    check_token(made, name, KEY)
    with pytest.raises(Refused):
        check_token(made, name + "x", KEY)


@pytest.mark.parametrize("text", ["", " ", "temporary_key", "fifteen letters"])
def test_weak_keys(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, known, or can be guessed signs nothing."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    (tmp_path / "airflow.cfg").write_text(f"[webserver]\nsecret_key = {text}\n")
    assert key_fault(text)
    with pytest.raises(WeakKey, match="the same on all nodes"):
        signing_key()
    monkeypatch.setenv("AIRFLOW__WEBSERVER__SECRET_KEY", "s" * 16)
    assert b"ssss" not in signing_key()


def test_files_below_the_folder(tmp_path: Path) -> None:
    """Regular files, by plain steps; no link is followed, wherever it leads."""
    folder = tmp_path / "logs"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "1.log").write_text("told")
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path)
    (folder / "a" / "link").symlink_to(tmp_path / "secret")
    (folder / "within").symlink_to(folder / "a")
    os.mkfifo(folder / "pipe")
    file = open_log(str(folder), "a/1.log")
    assert os.read(file, 10) == b"told"
    os.close(file)
    wrong = ["../secret", "a/../../secret", "out/secret", "a/link", "within/1.log", "pipe", "a", "a/", "a//1.log"]
    wrong += [str(tmp_path / "secret"), "a/1.log\0", "\0", "", ".", "..", "a/./1.log", "x" * 5000, "none", "\ud800"]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in wrong:
        with pytest.raises((OSError, ValueError)):
            os.close(open_log(str(folder), name))
    assert len(list(Path("/proc/self/fd").iterdir())) == before, "every descriptor was closed"


def test_a_log_that_grows_is_cut_where_it_was(tmp_path: Path) -> None:
    """What is written while it is sent would otherwise be more than the length that was told."""
    (tmp_path / "1.log").write_text("first")
    file = open_log(str(tmp_path), "1.log")
    (tmp_path / "1.log").write_text("first and second")
    assert b"".join(log_server._content(file, 5)) == b"first"
    os.close(file)
