"""What of a local log is on S3: written down before each step, so that another process can go on.

{folder of logs}/.shipping/{digest of the name}.json says how far a log has come, and beside it
a file .lock is locked by the process that ships it. The lock is a POSIX record lock: it ends
with its process, and a process that is forked does not have it. When all is on S3 and merged,
the journal moves to .shipping/done/, where it tells how much S3 has confirmed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from airflow_service.task_logs.local_log import FILE_MODE, make_folders
from airflow_service.task_logs.paths import safe_relative
from airflow_service.task_logs.tail import Tail

FOLDER = ".shipping"
DONE = "done"
_FORMAT = 1


class Locked(Exception):
    """Another process ships this log."""


class Damaged(Exception):
    """A journal that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A piece that may or may not be on S3: its id, its bytes in the local file, its place in the text."""

    id: str
    start: int
    end: int
    at: int
    crc: int
    is_segment: bool = True
    """Otherwise it goes to the final object at once, and may be of any length."""


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes that follow each other both in the text, from `at`, and in the local file, from `start`."""

    at: int
    start: int
    length: int
    crc: int


@dataclass(frozen=True, slots=True)
class Journal:
    """How far the log of this name has come. Offsets in bytes."""

    relative: str
    writer: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    device: int = 0
    inode: int = 0
    found: int = 0
    """How much was in the local file before anything was known of it."""
    shipped: int = 0
    """How much of the local file is in the text."""
    mark: int | None = None
    """Where in the text the bytes up to `shipped` (up to `found`, while nothing counts as shipped) end."""
    end: int | None = None
    """Where the text was last seen to end."""
    pending: Pending | None = None
    runs: tuple[Run, ...] = ()
    tail: Tail | None = None
    """What stands in front of `shipped`; None if that is not known."""
    merged: bool = False
    """Whether all that is shipped is in the final object."""

    def as_json(self) -> str:
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def parse(cls, data: bytes) -> Journal:
        """Raises Damaged, also for a journal of what is not below the folder: tasks may write journals, too."""
        try:
            document = json.loads(data)
            if document.pop("format") != _FORMAT:
                raise Damaged("it was written by another version")
            pending = document.pop("pending")
            tail = document.pop("tail", None)
            runs = tuple(Run(**one) for one in document.pop("runs"))
            journal = cls(
                **document,
                pending=Pending(**pending) if pending else None,
                runs=runs,
                tail=Tail(**tail) if tail else None,
            )
            if safe_relative(journal.relative) != journal.relative:
                raise Damaged("it names no log below the folder")
            return journal
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(f"it is no journal ({error})") from error


class Keeper:
    """The journals of a folder of logs. Methods raise OSError."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / FOLDER

    def path(self, relative: str) -> Path:
        name = hashlib.sha256(relative.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self.folder / f"{name}.json"

    def read(self, relative: str) -> Journal | None:
        """The journal of a log, finished or not; None if there is none that can be read."""
        path = self.path(relative)
        for place in (path, self.folder / DONE / path.name):
            with suppress(FileNotFoundError, Damaged):
                found = Journal.parse(place.read_bytes())
                if found.relative == relative:
                    return found
        return None

    def save(self, journal: Journal, *, done: bool = False) -> None:
        """Write a journal in one step; what a crash leaves is the old one or the new one."""
        path = self.path(journal.relative)
        other = self.folder / DONE / path.name
        if done:
            path, other = other, path
        make_folders(path.parent)
        # One process writes a log's journal, by its lock: the name is free.
        new = path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        try:
            data = journal.as_json().encode()
            while data:
                data = data[os.write(file, data) :]
            # A name must not come to the disk before what it stands for.
            os.fsync(file)
        finally:
            os.close(file)
        if done:
            # By its date alone those of old logs are found among many.
            with suppress(OSError):
                changed = (self.base / journal.relative).lstat().st_mtime_ns
                os.utime(new, ns=(changed, changed))
        new.replace(path)
        # After a crash here both are there; `read` takes the one that is not done, which says less.
        with suppress(FileNotFoundError):
            other.unlink()

    def open_journals(self) -> Iterator[tuple[Path, Journal | Damaged]]:
        """What is not finished, in no order."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                found: Journal | Damaged = Journal.parse(path.read_bytes())
            except FileNotFoundError:
                continue
            except Damaged as error:
                found = error
            except OSError as error:  # such as another user's
                found = Damaged(f"it cannot be read: {error.strerror}")
            yield path, found

    def forget(self, relative: str) -> None:
        """Remove what is kept of a log that is no more on this machine."""
        path = self.path(relative)
        for one in (path, self.folder / DONE / path.name, path.with_suffix(".lock")):
            one.unlink(missing_ok=True)


class Lock:
    """The right to ship a log: held until `release` or the end of the process."""

    # Within one process a record lock keeps nobody out.
    _held: dict[Path, tuple[int, object]] = {}  # noqa: RUF012  # shared on purpose

    def __init__(self, keeper: Keeper, relative: str) -> None:
        """Raises Locked or OSError."""
        self.path = keeper.path(relative).with_suffix(".lock")
        self._owner = os.getpid()
        claim = (self._owner, object())
        found = self._held.setdefault(self.path, claim)
        if found is not claim:
            if found[0] == self._owner:
                raise Locked(relative)
            self._held[self.path] = claim  # of the process that this one was forked from
        self._file: int | None = None
        try:
            self._file = self._take(relative)
        finally:
            if self._file is None:
                self._held.pop(self.path, None)

    def _take(self, relative: str) -> int:
        make_folders(self.path.parent)
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(file)
                if isinstance(error, BlockingIOError | PermissionError):
                    raise Locked(relative) from None
                raise
            # Its holder may have removed it between our opening and its release.
            with suppress(FileNotFoundError):
                if self.path.stat().st_ino == os.fstat(file).st_ino:
                    return file
            os.close(file)

    def release(self, *, remove: bool = False) -> None:
        """Let another process ship; in a process that was forked this does nothing."""
        if self._file is None or self._owner != os.getpid():
            return
        if remove:
            self.path.unlink(missing_ok=True)
        self._held.pop(self.path, None)
        os.close(self._file)
        self._file = None


def is_live(keeper: Keeper, relative: str) -> bool:
    """Whether a process ships this log now. Raises OSError."""
    path = keeper.path(relative).with_suffix(".lock")
    held = Lock._held.get(path)
    if held is not None and held[0] == os.getpid():
        return True
    try:
        # Whoever may read it may ask.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(file)
    return False


def confirmed(base: Path, relative: str) -> int:
    """How many bytes of a local log S3 has in the finished object; -1 if nothing is known of it."""
    found = Keeper(base).read(relative)
    if found is None:
        return -1
    return found.shipped if found.merged and found.pending is None else 0
