"""Wait for servers that a test has started."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answered(url: str) -> bool:
    """Whether the URL answers with a success."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            status: int = response.status
            return 200 <= status < 300
    except (urllib.error.URLError, OSError):
        return False


def until(
    condition: Callable[[], object], process: subprocess.Popen[bytes], log: Path, seconds: float = 120
) -> None:
    """Wait for the condition; fail with the log if the process ends, or it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            pytest.fail(f"{process.args!r} ended with {process.returncode}\n{log.read_text()}")
        if time.monotonic() > end:
            pytest.fail(f"{process.args!r}: not within {seconds} seconds\n{log.read_text()}")
        time.sleep(0.2)
