"""What is known between two runs, in one file for each host, written at once or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from airflow_service.errors import ServiceError
from airflow_service.service_logs.records import Record

FORMAT = 1
# On a full disk this much is given up so that the state can be written: it is what lets anything be removed.
_RESERVE = 1 << 20


class StateTrouble(ServiceError):
    """The state cannot be written: nothing may be removed."""

    exit_code: ClassVar[int] = 14


class AlreadyRunning(ServiceError):
    """Another run is at work."""

    exit_code: ClassVar[int] = 15


@dataclass(slots=True)
class State:
    """The records of a host's log files."""

    path: Path
    records: list[Record] = field(default_factory=list)
    rebuilding: bool = False
    """Whether nothing is known of what was shipped before, and S3 has to be asked for each file."""

    @classmethod
    def load(cls, path: Path) -> State:
        """What the last run wrote; nothing is changed. Raises OSError, and ValueError if it cannot be understood."""
        table = json.loads(path.read_bytes())
        try:
            if table["format"] != FORMAT:
                raise ValueError(f"its format is {table['format']}, not {FORMAT}")
            return cls(path, [Record.from_json(one) for one in table["records"]])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error

    @classmethod
    def read(cls, path: Path, problems: list[str]) -> State:
        """What the last run wrote. A file that cannot be understood is set aside, and told of."""
        try:
            return cls.load(path)
        except FileNotFoundError:
            return cls(path, rebuilding=True)
        except OSError as error:
            raise StateTrouble(
                f"{path} cannot be read: {error.strerror}\nnothing was shipped or removed"
            ) from error
        except ValueError as error:
            aside = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
            try:
                path.replace(aside)
            except OSError as failed:
                raise StateTrouble(
                    f"{path} is damaged, and cannot be set aside: {failed.strerror}"
                ) from failed
            problems.append(
                f"{path} is damaged ({error}); it is {aside.name} now, and S3 is asked for what it has"
            )
            return cls(path, rebuilding=True)

    def write(self) -> None:
        """Put it in place, and on the disk. Raises StateTrouble."""
        table = {"format": FORMAT, "records": [record.as_json() for record in self.records]}
        data = json.dumps(table, separators=(",", ":")).encode()
        try:
            try:
                replace(self.path, data)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._give_up_reserve():
                    raise
                replace(self.path, data)
            self._keep_reserve()
        except OSError as error:
            raise StateTrouble(
                f"{self.path} cannot be written: {error.strerror}\n"
                "usual cause: a full disk, one that is mounted read-only, or another user's folder\n"
                "nothing is removed, and no new text is begun on S3, until it can be"
            ) from error

    @property
    def _reserve(self) -> Path:
        return self.path.with_name(f"{self.path.name}.reserve")

    def _give_up_reserve(self) -> bool:
        with suppress(FileNotFoundError):
            self._reserve.unlink()
            return True
        return False

    def _keep_reserve(self) -> None:
        if not self._reserve.exists():
            with suppress(OSError):
                # Zeros could be stored as nothing.
                replace(self._reserve, os.urandom(_RESERVE))


def replace(path: Path, data: bytes) -> None:
    """Put a file in place as a whole, and on the disk, for its owner and group alone. Raises OSError."""
    made = path.with_name(f".{path.name}.new")
    try:
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    except OSError:
        with suppress(OSError):
            made.unlink()
        raise


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process however it ends. Raises AlreadyRunning."""
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise StateTrouble(
            f"{folder} cannot be written to: {error.strerror}\nnothing was shipped or removed"
        ) from error
    with open(lock, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read(100).strip() or "somebody"
            raise AlreadyRunning(f"another `airflow-service ship-logs` is at work ({holder})") from None
        with suppress(OSError):
            file.truncate(0)
            file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime())}\n")
            file.flush()
        yield
