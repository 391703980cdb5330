"""What the stand-in was asked, when, and what it answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Request:
    """One request to a platform's API; requests to the control interface are not noted."""

    method: str
    path: str
    account: str
    """Whose token it bore; empty for none, or one that nobody has."""
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    """`time.monotonic()` of the stand-in's process."""
    at: float = field(default_factory=time.time)
    """`time.time()`."""
    status: int = 0
    """What it was answered; 0 for nothing at all."""
    seconds: float | None = None
    """How long that took; None until then."""

    def describe(self) -> dict[str, Any]:
        return asdict(self)


class RequestsLog:
    """The requests, in the order in which they came."""

    def __init__(self) -> None:
        self._all: list[Request] = []
        self._changing = threading.Lock()

    def add(self, request: Request) -> None:
        with self._changing:
            self._all.append(request)

    def all(self, method: str = "", path: str = "", account: str = "") -> list[Request]:
        """Give those of a method, with a text in the path, of an account."""
        with self._changing:
            return [
                each
                for each in self._all
                if method in ("", each.method) and path in each.path and account in ("", each.account)
            ]

    def last_seconds(self, seconds: float) -> int:
        """How many came in the last seconds."""
        since = time.monotonic() - seconds
        with self._changing:
            return sum(each.began >= since for each in self._all)

    def clear(self) -> None:
        with self._changing:
            self._all.clear()
