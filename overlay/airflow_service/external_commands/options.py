"""The keys of `[service]` that concern commands on outside platforms."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_service.declarations import Option, declare


def seconds(text: str, least: float, most: float) -> float:
    """Take a number of seconds within bounds; ValueError for anything else."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or not least <= float(text) <= most:
        raise ValueError("it is no number, or too small or too large")
    return float(text)


# Without slots: a class can inherit from only one that has them.
@dataclass(frozen=True)
class ExternalCommandOptions:
    """How long an outside platform is asked about the commands of tasks."""

    external_command_timeout: float = declare(
        Option(
            parse=lambda text: seconds(text, 1, 300),
            allowed="a number of seconds from 1 to 300",
            description="Seconds that an outside platform is asked for the states of a failed task's commands, and to\n"
            "cancel them: in all, with every repetition, and for all zombies of a DAG file together. To be\n"
            "less than `[core] dag_file_processor_timeout` and half of `[core] killed_task_cleanup_time`.",
            since="1.10.15+svc.1",
            default="20",
        )
    )
    external_command_request_timeout: float = declare(
        Option(
            parse=lambda text: seconds(text, 0.1, 60),
            allowed="a number of seconds from 0.1 to 60",
            description="Seconds that one request to an outside platform waits for a connection, and then for the\n"
            "answer.",
            since="1.10.15+svc.1",
            default="5",
        )
    )
