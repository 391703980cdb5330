"""Run a service with all that it says in a log: each line with its time, this host and the service's name.

The service keeps the process id that its supervisor knows, and so gets its signals and gives its exit code. Another
process writes the log, from a pipe. Once logrotate has renamed the file it opens another one: no line is between the
two, as it can be when a file behind a `>` is copied and truncated.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from airflow_service.errors import EXIT_CONFIGURATION, EXIT_USAGE
from airflow_service.service_logs.names import host_name
from airflow_service.service_logs.sources import AIRFLOW_LOGS

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE = 0o640
_READ = 1 << 16
# A line without an end is written so long after its last byte, in seconds, or when it has so many bytes.
_PATIENCE = 2.0
_LONGEST = 1 << 16
# Airflow's formatter marks arguments as bold wherever it writes to.
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
_NOT_FOUND = 127
"""What a shell ends with for a command that is not there."""


class Log:
    """A log file that others may rename at any time. A disk that takes nothing costs lines, and blocks nobody."""

    def __init__(self, path: Path, label: str) -> None:
        self._path = path
        self._label = label
        self._file: int | None = None
        self._dropped = 0
        self._is_torn = False
        """Whether the disk took a part of a line only."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Add lines; those that cannot be written are counted, and told of later."""
        try:
            file = self._opened()
        except OSError:
            self._dropped += len(lines)
            return
        if self._dropped:
            if self._put(file, [f"{self._dropped} lines were lost here: the disk took none".encode()]):
                self._dropped += len(lines)
                return
            self._dropped = 0
        self._dropped = self._put(file, lines)

    def _put(self, file: int, lines: Sequence[bytes]) -> int:
        """Write lines; returns how many of them were not written, or not whole."""
        now = time.time()
        clock = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
        before = f"{clock} {self._label}: ".encode()
        data = b"".join(before + _COLOURS.sub(b"", line) + b"\n" for line in lines)
        if self._is_torn:
            data = b"\n" + data
        try:
            while data:
                sent = os.write(file, data)
                self._is_torn = data[sent - 1 : sent] != b"\n"
                data = data[sent:]
        except OSError:
            return data.removeprefix(b"\n").count(b"\n")
        return 0

    def _opened(self) -> int:
        """The file under the path, which is another one after a rotation."""
        if self._file is not None:
            try:
                there, ours = self._path.stat(), os.fstat(self._file)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return self._file
            except FileNotFoundError:
                pass
            os.close(self._file)
            self._file = None
        self._file = os.open(self._path, _FLAGS, _MODE)
        return self._file


def run(arguments: argparse.Namespace) -> int:
    """`airflow-service logged SERVICE COMMAND…`."""
    command = [word for place, word in enumerate(arguments.command) if place or word != "--"]
    if not command:
        print("airflow-service logged: there is no command to run", file=sys.stderr)
        return EXIT_USAGE
    path = arguments.file or Path(AIRFLOW_LOGS, f"{arguments.service}.log")
    try:
        # Now, while somebody reads what goes wrong.
        os.close(os.open(path, _FLAGS, _MODE))
    except OSError as error:
        print(f"airflow-service logged: {path} cannot be written: {error.strerror}", file=sys.stderr)
        return EXIT_CONFIGURATION
    return run_logged(path, f"{host_name()} {arguments.service}", command)


def run_logged(path: Path, label: str, command: Sequence[str]) -> NoReturn:
    """Become the command; its output goes to the log, from another process."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(sink)
        _write_apart(source, Log(path, label))
    os.waitpid(child, 0)
    os.close(source)
    for stream in (1, 2):
        os.dup2(sink, stream)
    os.close(sink)
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_USAGE)


def _write_apart(source: int, log: Log) -> NoReturn:
    """Write the log in a process that is no child of the service: some services end or count all of theirs."""
    code = 1
    try:
        if os.fork() == 0:
            _keep_on()
            copy(source, log)
        code = 0
    finally:
        os._exit(code)


def copy(source: int, log: Log) -> None:
    """Write down what comes until nobody is left who could say more."""
    waiting = b""
    while True:
        if waiting and not select.select([source], [], [], _PATIENCE)[0]:
            log.write([waiting])
            waiting = b""
        read = os.read(source, _READ)
        *lines, waiting = (waiting + read).split(b"\n")
        if len(waiting) >= _LONGEST or (not read and waiting):
            lines.append(waiting)
            waiting = b""
        if lines:
            log.write(lines)
        if not read:
            return


def _keep_on() -> None:
    """Outlive what ends the service, to write down its last words."""
    os.setsid()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGQUIT,
    ):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
