"""Who may read and write a file of keys: whoever may write it decides who is let in."""

from __future__ import annotations

import stat
from pathlib import Path


def file_fault(path: str, *, secret: bool) -> str | None:
    """What is wrong with the permissions of a file of keys; None if nothing is, or there is no such file.

    Its owner and group may be whoever the operator chose. A `secret` also is to be read by
    nobody else: who knows it can sign.
    """
    try:
        mode, folder = Path(path).stat().st_mode, Path(path).resolve().parent.stat().st_mode
    except OSError:
        return None
    if mode & stat.S_IWOTH:
        return f"everybody on this machine can write it, and let in whom they like: chmod o-w {path}"
    if folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
        return "everybody on this machine can put another file in its place: chmod o-w its folder"
    if secret and mode & stat.S_IROTH:
        return f"everybody on this machine can read it, and sign with the secret that it holds: chmod o= {path}"
    return None
