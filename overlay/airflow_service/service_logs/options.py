"""The keys of `[service]` on logs of services, and on how long shipped logs stay on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from airflow_service.declarations import Option, declare


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError("it is no whole number, or too small or too large")
        return int(text)

    return parse


def list_file(text: str) -> str:
    """The path of a file, or nothing."""
    if text and not PurePath(text).is_absolute():
        raise ValueError("it is no absolute path")
    return text


# Without slots: a class can inherit them from one of its bases only.
@dataclass(frozen=True)
class ServiceLogOptions:
    """What `airflow-service ship-logs` ships besides task logs, and what it removes."""

    service_logs: str = declare(
        Option(
            parse=list_file,
            allowed="an absolute path, or nothing",
            description="A TOML file that says where services have their logs, for `airflow-service ship-logs`. What\n"
            "it does not name, and all without it, is looked for where Airflow and Debian's packages put it.",
            since="1.10.15+svc.1",
        )
    )
    logs_keep_days: int = declare(
        Option(
            parse=_number(0, 3650),
            allowed="a number of days from 0 to 3650",
            description="For how long a finished log stays on disk, by its last change. None is removed before S3 has\n"
            "confirmed all of it.",
            since="1.10.15+svc.1",
            default="7",
        )
    )
    logs_keep_megabytes: int = declare(
        Option(
            parse=_number(0, 999_999_999),
            allowed="a number of MiB from 0 to 999999999",
            description="How much all logs on this host's disk may take: above it, the oldest that S3 has confirmed\n"
            "go first. 0 sets no limit.",
            since="1.10.15+svc.1",
            default="0",
        )
    )
    logs_min_free_percent: int = declare(
        Option(
            parse=_number(0, 90),
            allowed="a number from 0 to 90",
            description="With less of a disk free than this, the oldest logs on it that S3 has confirmed go\n"
            "before their time. 0 looks at no disk.",
            since="1.10.15+svc.1",
            default="10",
        )
    )
