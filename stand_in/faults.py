"""What the stand-in does wrong, for those requests that it is told to do it for."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

KINDS = ("status", "html", "truncated", "broken", "stalled", "undecodable", "nothing", "redirect")
DAMAGE = ("truncated", "broken", "stalled", "undecodable")
"""Those of a good answer on its way."""


@dataclass(slots=True)
class Fault:
    """A wrong answer, for the requests that it matches, as often as `times` says (None: always)."""

    kind: str = "status"
    """`status`: an error's JSON · `html`: a page, with 200 · `truncated`: half of the JSON, told as the whole ·
    `broken`: half of it, and the connection is closed · `stalled`: half of it, and the rest after `delay` seconds ·
    `undecodable`: said to be compressed · `nothing`: the connection is closed · `redirect`: to `location`."""
    status: int = 500
    """For the kind `status`."""
    delay: float = 0.0
    """Seconds before the answer, whatever it is; in the midst of it for `stalled`."""
    method: str = ""
    path: str = ""
    """A pattern that is found in the path."""
    account: str = ""
    times: int | None = None
    effect: bool = False
    """Whether the request is carried out all the same, and its answer alone is lost."""
    location: str = ""

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, "slow"):
            raise ValueError(f"no such fault: {self.kind!r}")

    def matches(self, method: str, path: str, account: str) -> bool:
        return (
            self.times != 0
            and self.method in ("", method)
            and self.account in ("", account)
            and re.search(self.path, path) is not None
        )


class Faults:
    """The faults that are in force; the first that matches is taken."""

    def __init__(self) -> None:
        self._all: list[Fault] = []
        self._changing = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._changing:
            self._all.append(fault)
        return fault

    def take(self, method: str, path: str, account: str) -> Fault | None:
        with self._changing:
            for fault in self._all:
                if fault.matches(method, path, account):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    def clear(self) -> None:
        with self._changing:
            self._all.clear()
