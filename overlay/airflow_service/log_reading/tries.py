"""A task instance's tries: which of them may still write, and what their logs are called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# Seconds after which a log that did not grow is at its end, whatever clocks and a slow shipper do.
SETTLED = 300
# Seconds without anything new after the task had ended: by then a shipper has given up, and a sweep has come by.
QUIET = 90
_WRITING = frozenset({"running", "shutdown"})
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class NoPlainName(Exception):
    """A log's name that would lead out of the log folder, or means nothing."""


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a task, as far as its log is concerned."""

    number: int
    is_over: bool
    """Whether its process has ended: it writes nothing any more."""
    ended: datetime | None
    """When, at the earliest; None if nobody knows."""

    def is_settled(self, quiet: int) -> bool:
        """Whether what was written is all there is; for so many seconds nothing new was found.

        The last lines come after the state has changed: they are still being shipped.
        """
        if not self.is_over:
            return False
        long_ago = self.ended is not None and (datetime.now(UTC) - self.ended).total_seconds() > SETTLED
        return long_ago or quiet >= QUIET


def try_of(ti: Any, number: int) -> Try:
    """What the metadata database says of a try. Its number is counted up when a task starts to run."""
    started = ti._try_number
    if number < started:
        return Try(number, True, ti.start_date)
    if number == started:
        return Try(number, ti.state not in _WRITING, ti.end_date or ti.start_date)
    # One that waits has begun before, and gave its number back.
    return Try(number, ti.state in _ENDED, ti.end_date or ti.start_date)


def numbers_of(ti: Any) -> range:
    """The tries that may have a log."""
    count = ti.next_try_number - 1
    if ti.state == "up_for_reschedule":
        count += 1
    return range(1, count + 1)


def plain_name(name: str) -> str:
    """A log's name below the log folder. Raises NoPlainName."""
    if len(name.encode("utf-8", "replace")) > 1000:
        raise NoPlainName("the log's name is longer than an object's key may be")
    if any(step in ("", ".", "..") for step in name.split("/")) or any(one < " " or one == "\x7f" for one in name):
        raise NoPlainName("the log's name is no plain path below the log folder")
    return name
