"""Things that are costly to make: made once, kept below .build/test/, by the hash of what they are made from."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MADE = ROOT / ".build" / "test"
_COMPLETE = "complete"
# Seconds without use after which what an older state of the checkout needed is removed.
_UNUSED = 24 * 3600.0


@contextmanager
def exclusively(name: str) -> Iterator[None]:
    """Let one process in at a time; the lock goes with its process."""
    MADE.mkdir(parents=True, exist_ok=True)
    with (MADE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def key_of(*parts: str | bytes | Path) -> str:
    """One short hash over texts and the bytes of files."""
    key = hashlib.sha256()
    for part in parts:
        raw = (
            part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        )
        key.update(hashlib.sha256(raw).digest())
    return key.hexdigest()[:16]


def made_once(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `NAME-KEY`, filled by the first process that asks for it.

    It is filled in place, since an environment cannot be moved; what a killed
    run left is removed first.
    """
    folder = MADE / f"{name}-{key}"
    stamp = folder / _COMPLETE
    with exclusively(name):
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _remove_unused(name)
            folder.mkdir(parents=True)
            make(folder)
        stamp.touch()
    return folder


def _remove_unused(name: str) -> None:
    for stamp in MADE.glob(f"{name}-*/{_COMPLETE}"):
        if time.time() - stamp.stat().st_mtime > _UNUSED:
            shutil.rmtree(stamp.parent, ignore_errors=True)
