"""The commands that were given to the stand-in, and how each of them runs and ends."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

FINAL = ("done", "error", "cancelled")
# Like those of a platform that has been in use for years: more than 32 bits hold no trouble.
_FIRST_ID = 4_300_000_001


@dataclass(frozen=True, slots=True)
class Plan:
    """How a command runs; times in seconds from its creation, or from its cancel. None is: until it is told."""

    seconds: float | None = 1.0
    """How long it takes in all."""
    waiting: float = 0.0
    """How much of that it waits, rather than runs."""
    ends: str = "done"
    """done, error or cancelled."""
    hidden: float = 0.0
    """How long a look-up answers that there is no such command."""
    cancelling: float | None = 0.0
    """From the request to cancel until it is cancelled. None: it runs on, whatever was answered."""
    log: str = "stand-in: started\nstand-in: ended\n"
    results: str = "1\tone\r\n2\ttwo\r\n"
    result_locations: tuple[str, ...] = ()
    """Where the results are instead, `s3://…`; those of a platform that are too big to be sent."""
    jobs: tuple[Mapping[str, Any], ...] = ()
    match: str | None = None
    """It is for commands whose request, as JSON, this pattern is found in; None is for any."""

    def __post_init__(self) -> None:
        if self.ends not in FINAL:
            raise ValueError(f"ends is one of {', '.join(FINAL)}, not {self.ends!r}")


@dataclass(slots=True)
class Command:
    """A command and what has happened to it; times are `time.monotonic()`."""

    id: int
    account: str
    given: Mapping[str, Any]
    """What it was created with."""
    plan: Plan
    created: float = field(default_factory=time.monotonic)
    cancel_asked: float | None = None
    cancels: int = 0
    """How often it was asked to be cancelled, whether or not it had ended."""
    told: str | None = None

    @property
    def hidden(self) -> bool:
        return time.monotonic() - self.created < self.plan.hidden

    @property
    def status(self) -> str:
        """Of waiting, running, done, error, cancelled: as it is now."""
        if self.told is not None:
            return self.told
        now, plan = time.monotonic(), self.plan
        end = None if plan.seconds is None else self.created + plan.seconds
        if self.cancel_asked is not None and plan.cancelling is not None:
            cancelled = self.cancel_asked + plan.cancelling
            if cancelled <= now and (end is None or cancelled < end):
                return "cancelled"
        if end is not None and end <= now:
            return plan.ends
        return "waiting" if now - self.created < plan.waiting else "running"

    def cancel(self) -> bool:
        """Note a request to cancel it; whether it came in time to be one."""
        self.cancels += 1
        if self.status in FINAL:
            return False
        if self.cancel_asked is None:
            self.cancel_asked = time.monotonic()
        return True

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.id, "account": self.account, "status": self.status, "cancels": self.cancels,
            "given": dict(self.given),
        }  # fmt: skip


class Commands:
    """All commands; used by the server's threads and by whoever holds the stand-in."""

    def __init__(self) -> None:
        self.default = Plan()
        self.plans: list[Plan] = []
        """Looked through for the first one that matches, before the default is taken."""
        self.storage: dict[str, str | None] = {
            "storage_access_key": "key", "storage_secret_key": "secret", "session_token": None, "region_endpoint": None,
        }  # fmt: skip
        """What an account's results are fetched with."""
        self._all: dict[int, Command] = {}
        self._ids = itertools.count(_FIRST_ID)
        self._changing = threading.RLock()

    def create(self, account: str, given: Mapping[str, Any]) -> Command:
        text = json.dumps(given)
        with self._changing:
            plan = next(
                (each for each in self.plans if each.match is None or re.search(each.match, text)),
                self.default,
            )
            command = Command(next(self._ids), account, given, plan)
            self._all[command.id] = command
            return command

    def find(self, account: str, command_id: int) -> Command | None:
        """Give the account's command, once it can be found."""
        with self._changing:
            command = self._all.get(command_id)
        return command if command and command.account == account and not command.hidden else None

    def __getitem__(self, command_id: int) -> Command:
        """Give a command, hidden or not. Raises KeyError."""
        with self._changing:
            return self._all[command_id]

    def __iter__(self) -> Iterator[Command]:
        """In the order in which they were created."""
        with self._changing:
            return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def tell(self, command_id: int, status: str) -> None:
        """Decide what becomes of a command, whatever its plan was. Raises KeyError."""
        with self._changing:
            self._all[command_id].told = status

    def plan(self, command_id: int, **changes: Any) -> None:
        """Change a command's plan. Raises KeyError."""
        with self._changing:
            command = self._all[command_id]
            command.plan = replace(command.plan, **changes)

    def clear(self) -> None:
        with self._changing:
            self._all.clear()
            self.plans.clear()
            self.default = Plan()
