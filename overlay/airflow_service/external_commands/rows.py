"""What the table of commands holds, as values: a task instance, and a command of its try."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

FAILED, ZOMBIE, KILLED, ORPHAN = "failed", "zombie", "killed", "orphan"
OWN_REASONS = (FAILED, ZOMBIE, KILLED, ORPHAN)
"""Why a command is to be cancelled, if nobody wanted it to be: its task came to an end before it."""


@dataclass(frozen=True, slots=True)
class TaskKey:
    """A task instance."""

    dag_id: str
    task_id: str
    execution_date: str

    @classmethod
    def of(cls, instance: Any) -> TaskKey:
        """Give the key of a TaskInstance, or of what has its three attributes."""
        return cls(instance.dag_id, instance.task_id, date_text(instance.execution_date))

    def __str__(self) -> str:
        return f"{self.dag_id}.{self.task_id} of {self.execution_date}"


@dataclass(frozen=True, slots=True)
class Row:
    """A command of a task's try."""

    id: int
    platform: str
    connection_id: str
    command_id: str
    task: TaskKey
    try_number: int
    started_at: float
    decides: bool
    wanted_at: float | None = None
    reason: str | None = None
    sent_at: float | None = None
    trouble: str | None = None
    ended: str | None = None
    account: str | None = None

    @property
    def wanted_by_somebody(self) -> bool:
        """Whether a person has cleared, marked or deleted its task: a success of it would come too late."""
        return self.reason is not None and self.reason not in OWN_REASONS

    def __str__(self) -> str:
        return f"{self.platform} command {self.command_id} of {self.task}, try {self.try_number}"


def date_text(moment: datetime) -> str:
    """Spell an execution date; the same instant is always spelt the same."""
    # Not by methods of what was given: Airflow's dates are Pendulum's, some of which are others.
    local = datetime(
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond
    )
    return f"{(local - (moment.utcoffset() or timedelta())).isoformat(timespec='microseconds')}+00:00"
