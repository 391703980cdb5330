"""Where things are in a checkout, and how files get there: whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import StorageFailure


@dataclass(frozen=True, slots=True)
class Workspace:
    """The places of one checkout."""

    root: Path

    @property
    def patches(self) -> Path:
        return self.root / "patches"

    @property
    def overlay(self) -> Path:
        return self.root / "overlay"

    @property
    def assets(self) -> Path:
        return self.root / "assets"

    @property
    def dist(self) -> Path:
        return self.root / "dist"

    @property
    def build(self) -> Path:
        return self.root / ".build"

    def line(self, version: str) -> Path:
        """The folder of everything made on the way to one release."""
        return self.build / version

    @property
    def downloads(self) -> Path:
        """Downloads by sha256, shared by all checkouts of a user."""
        return cache_home() / "downloads"


def cache_home() -> Path:
    """The user's cache folder for this project (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification asks that a relative path be ignored.
    home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return home / "airflow-service"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one build at a time into a folder; a second one waits and says so.

    The lock is the kernel's (flock), so it goes with its process, even a killed one.
    """
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            print(f"waiting for another build in {folder.parent} to end", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


_STORAGE_CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "the folder or file belongs to somebody else, or is read-only",
    errno.EPERM: "the folder or file belongs to somebody else, or is immutable",
    errno.EFBIG: "a limit on the size of files (ulimit -f), or the file system's own",
}
# Those of which a program's message is proof enough: other refusals it may have asked for.
_TOLD_BY_PROGRAMS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn a refusal of the disk into a StorageFailure that names the place."""
    try:
        yield
    except OSError as error:
        cause = _STORAGE_CAUSES.get(error.errno or 0)
        if cause is None:
            raise
        raise _storage_failure(error.filename or path, error.strerror, cause) from None


def refuse_storage(output: str, path: Path) -> None:
    """Raise StorageFailure if a program that failed says that the disk was in its way."""
    for number in _TOLD_BY_PROGRAMS:
        if os.strerror(number) in output:
            raise _storage_failure(path, os.strerror(number), _STORAGE_CAUSES[number])


def _storage_failure(path: Path | str, refusal: str | None, cause: str) -> StorageFailure:
    unreadable = Path(path).exists() and not os.access(path, os.R_OK)
    return StorageFailure(
        f"cannot {'read' if unreadable else 'write'} {path}: {refusal}",
        cause=cause,
        next_step="make room or mend the permissions, and run the same command again; nothing is half-written",
    )


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file whole: a reader sees the old bytes or the new, never less."""
    import tempfile  # here, and below: verbs that write nothing start the quicker

    raw = data.encode("utf-8") if isinstance(data, str) else data
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o644)
            partial.replace(path)
        except BaseException:
            # Gone already if somebody cleaned up meanwhile; the first failure is the one to tell.
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """A new empty folder on the same file system as `place`, removed at the end."""
    import shutil
    import tempfile

    with storage(place):
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(place: Path) -> None:
    """Remove what a killed build left; only under the lock of `exclusive`."""
    import shutil

    for leftover in place.glob("scratch-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    remove_partial_files(place)


def remove_partial_files(place: Path) -> None:
    """Remove what a killed write_atomic left; in a folder of the user's, too."""
    for leftover in place.glob(".*.????????.part"):
        with suppress(OSError):
            leftover.unlink()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*parts: object) -> str:
    """One sha256 over JSON-able parts: the key of a cached step."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def tree_files(folder: Path) -> dict[str, Path]:
    """The files below a folder that are part of a project, by relative path.

    Byte code, hidden files and editors' leftovers are not.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if (
            not hidden
            and path.suffix != ".pyc"
            and not path.name.endswith("~")
            and (path.is_file() or path.is_symlink())
        ):
            files[relative.as_posix()] = path
    return files


def hash_files(files: dict[str, Path]) -> dict[str, str]:
    """The sha256 of each file, by the same names; of a link that leads to none, of where it leads."""
    return {
        name: file_sha256(path) if path.is_file() else digest(str(path.readlink()))
        for name, path in files.items()
    }


def read_json(path: Path) -> Any:
    """A JSON file's value; None if it is missing or was cut short."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def json_text(value: object) -> str:
    """JSON as this project writes it: sorted, indented, with a last line's end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def total_size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
