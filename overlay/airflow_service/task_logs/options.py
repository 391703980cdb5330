"""The keys of `[service]` that concern task logs on this machine's disk."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_service.declarations import Option, declare


def mebibytes(text: str) -> int:
    """MiB, from 1 to 1048576 (a TiB)."""
    if not re.fullmatch(r"[0-9]{1,7}", text) or not 1 <= int(text) <= 1 << 20:
        raise ValueError("it is no number, or too small or too large")
    return int(text)


# Without slots: a class can inherit them from one of its bases only.
@dataclass(frozen=True)
class TaskLogOptions:
    """How much waits on disk."""

    logs_backlog_limit: int = declare(
        Option(
            parse=mebibytes,
            allowed="a number of MiB from 1 to 1048576",
            description="How much of one task's log may wait on disk while S3 does not take it. What the task says\n"
            "beyond is not kept; the log tells how many lines that were.",
            since="1.10.15+svc.1",
            default="1024",
        )
    )
