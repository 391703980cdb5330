"""Where a task's log is below the folder of logs, and below the base folder on S3: the same names.

Names are upstream's, whatever they hold, but for those that would lead elsewhere or
that no file system takes.
"""

from __future__ import annotations

import hashlib

LONGEST = 255
"""Bytes of a file name, as Linux has it."""
# For the endings that are put behind a file's name.
_SPARE = len(".parts")


def safe_relative(relative: str) -> str:
    """A path below the folder, whatever a DAG's or run's name holds. Ordinary names stay as they are."""
    return "/".join(_safe(step) for step in relative.strip("/").split("/"))


def _safe(step: str) -> str:
    if step in ("", ".", ".."):
        return "%2E" * len(step) or "%"
    step = step.replace("\0", "%00")
    encoded = step.encode("utf-8", "surrogateescape")
    if len(encoded) + _SPARE <= LONGEST:
        return step
    # The rest of the name is what tells it apart from others; a digest stands for it.
    mark = f"~{hashlib.sha256(encoded).hexdigest()[:16]}"
    ending = ".log" if step.endswith(".log") else ""
    kept = encoded[: LONGEST - _SPARE - len(mark) - len(ending)].decode("utf-8", "ignore")
    return f"{kept}{mark}{ending}"
