"""How a platform is asked, with patience: what a command's state is, and to cancel it for certain."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_service.external_commands.platform import Client, CommandId, NotFound, PlatformError, State

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 4.0
_STILL_RUNS = "it was asked to be cancelled, and still runs"
PATIENCE = 6.0
"""Seconds for which "not found" is not believed: a platform may know a new command only after a while."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of asking for a command."""

    state: State | None = None
    """None: nothing is known, for the reason that `trouble` has."""
    trouble: str = ""
    absent: bool = False
    """The platform says, and said so for a while, that there is no such command."""
    sent: bool = False
    """A request to cancel it was accepted."""

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to be done about the command."""
        return self.state is not None and self.state.is_final


class Pauses:
    """Seconds to wait between requests: each twice the last, and never the same for two that began together."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._next = _FIRST_PAUSE

    def pause(self) -> bool:
        """Wait; False, and at once, if the deadline would pass meanwhile."""
        length = self._next * random.uniform(0.75, 1.25)
        if time.monotonic() + length >= self._deadline:
            return False
        time.sleep(length)
        self._next = min(self._next * 2, _LONGEST_PAUSE)
        return True


def look(client: Client, command_id: CommandId, deadline: float) -> Answer:
    """Ask for a command's state until there is an answer, or the deadline (of `time.monotonic()`) is near."""
    pauses, believed = Pauses(deadline), min(deadline, time.monotonic() + PATIENCE)
    while True:
        try:
            return Answer(client.state(command_id))
        except PlatformError as error:
            answer = _unknown(error)
            if not error.worth_another_try or (answer.absent and time.monotonic() >= believed):
                return answer
        except Exception as error:  # a platform's own mistake must not be worse than no answer
            return Answer(trouble=f"{type(error).__name__}: {error}")
        if not pauses.pause():
            return answer


def cancel(
    client: Client, command_id: CommandId, deadline: float, tell: Callable[[bool], None] = lambda _sent: None
) -> Answer:
    """Cancel a command, and look until it has come to its end; it may have succeeded in the meantime.

    One that was asked to be cancelled and still runs at the deadline comes back as unfinished and `sent`. Each
    request is told before it is made, and taken back if it fails, for whoever does not wait for the answer.
    """
    pauses, sent, trouble = Pauses(deadline), False, ""
    while True:
        if not sent:
            if time.monotonic() >= deadline:
                return Answer(State.UNFINISHED, "no time was left to cancel it")
            tell(True)
            trouble, again = _attempt(lambda: client.cancel(command_id))
            sent = not trouble
            tell(sent)
            if not sent and not again:
                return Answer(trouble=trouble)
        # A request that was not answered may have been carried out: it is not repeated before a look.
        answer = look(client, command_id, deadline)
        if answer.is_final or answer.state is None:
            return Answer(answer.state, answer.trouble, answer.absent, sent)
        if not pauses.pause():
            waiting = _STILL_RUNS if sent else trouble
            return Answer(answer.state, waiting, sent=sent)


def wait(client: Client, command_id: CommandId, deadline: float) -> Answer:
    """Look until a command has come to its end that was asked to."""
    pauses = Pauses(deadline)
    while True:
        answer = look(client, command_id, deadline)
        if answer.is_final or answer.state is None:
            return answer
        if not pauses.pause():
            return Answer(answer.state, _STILL_RUNS)


def _attempt(request: Callable[[], None]) -> tuple[str, bool]:
    """Make a request; what went wrong, if anything did, and whether another try may help."""
    try:
        request()
    except PlatformError as error:
        return _unknown(error).trouble, error.worth_another_try
    except Exception as error:
        return f"{type(error).__name__}: {error}", False
    return "", False


def _unknown(error: PlatformError) -> Answer:
    return Answer(trouble=f"{type(error).__name__}: {error}", absent=isinstance(error, NotFound))
