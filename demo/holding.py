"""Folders that a process holds while it lives, and that nobody removes meanwhile."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path


def hold(folder: Path) -> None:
    """Hold a folder until this process ends, however it does: the lock (flock) is the kernel's.

    Programs that it starts do not inherit it.
    """
    fcntl.flock(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)


def remove_free(place: Path, pattern: str) -> None:
    """Remove the folders that nobody holds."""
    for folder in place.glob(pattern):
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
