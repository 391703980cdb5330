"""A log below the log folder, opened without being led astray."""

from __future__ import annotations

import os
import stat


def open_log(folder: str, name: str) -> int:
    """A file descriptor of a regular file below `folder`. Raises OSError or ValueError if there is none.

    No symbolic link below the folder is followed: tasks may write there, and must not
    choose what others read, serve or ship. It is opened step by step, so that nothing can be
    exchanged between a check and its use.
    """
    steps = name.split("/")
    if any(step in ("", ".", "..") or "\0" in step for step in steps):
        raise ValueError("it is no plain path")
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for step in steps[:-1]:
            below = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        # Without O_NONBLOCK a named pipe would hold us until somebody writes.
        file = os.open(steps[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ValueError("it is no regular file")
    return file
