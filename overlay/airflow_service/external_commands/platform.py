"""What an outside platform has to offer, so that tasks and its commands can be kept in agreement.

A distribution registers an object with the attributes of `Platform` by an entry point of the
group `airflow_service.platforms`. Retries, back-off and the patience with "not found" are not a
platform's business: a method of a client makes one request, and says what came of it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar, Protocol, TypeAlias

CommandId: TypeAlias = int | str
"""What the platform calls a command by; its `str()` has at most 250 characters."""


class State(Enum):
    """What has become of a command."""

    UNFINISHED = "unfinished"
    """Waiting, queued or running: whatever may still come to an end by itself."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it will never change again."""
        return self is not State.UNFINISHED


class PlatformError(Exception):
    """A request to a platform that gave no answer to go by; the message says what was asked and answered.

    Messages come into the tasks' logs: they hold neither tokens nor passwords.
    """

    worth_another_try: ClassVar[bool] = False
    """Whether the same request, a little later, may be answered otherwise."""


class Unreachable(PlatformError):
    """No answer in time, a connection refused or broken off, or an answer of 429 or 5xx."""

    worth_another_try = True


class BadReply(PlatformError):
    """An answer that says nothing: HTML, JSON that is cut off, a state that nobody knows."""

    worth_another_try = True


class NotFound(PlatformError):
    """404. A command that was made a moment ago may be answered so for a while: it is not believed at once."""

    worth_another_try = True


class Refused(PlatformError):
    """401 or 403: the connection's credentials are wrong, or the command is another account's."""


class Client(Protocol):
    """Speaks with a platform for one connection. It holds its own credentials: nothing is global.

    It is used by one thread at a time. Each request has a time-out for connecting and one for
    reading, in seconds, that it is made with; together with redirects it takes no longer than their sum.
    """

    def state(self, command_id: CommandId) -> State:
        """Ask for a command's state: one request. Raises `PlatformError`."""

    def cancel(self, command_id: CommandId) -> None:
        """Ask for a command to be cancelled: one request, for which no answer but an accepting one is good.

        Cancelling one that has come to its end is not an error, where the platform tells. Raises `PlatformError`.
        """


class Platform(Protocol):
    """A kind of outside platform. It holds no state, and its methods are called from any thread."""

    name: str
    """The entry point's name, lower-case, at most 50 characters; part of an endpoint and of rows."""
    label: str
    """The button's text: `Goto QDS`."""
    operators: tuple[str, ...]
    """Dotted names of operators. A task counts if one of them is in its operator's line of descent."""
    xcom_key: str
    """Where the operator keeps the command's id: it pushes it as soon as it has it."""

    def connection_id(self, task: Any) -> str:
        """Give the connection that a task's operator was given, as it stands there, template or not.

        The operator is the object that the DAG's file made. Raises `LookupError` if it has none.
        """

    def decides(self, task: Any) -> bool:
        """Tell whether the task is a success as soon as its command is.

        It is not where the operator then looks at what the command found, as those do that check data.
        """

    def parse_id(self, value: object) -> CommandId:
        """Take the id from the XCom's value as JSON has it. Raises `ValueError` for anything else."""

    def page_url(self, connection: Any, command_id: CommandId) -> str:
        """Give the address of a command's page, for a browser. Raises `ValueError` if the connection has no host."""

    def client(self, connection: Any, connect_timeout: float, read_timeout: float) -> Client:
        """Make a client for a connection (`airflow.models.Connection`, decrypted). Asks nothing yet.

        Raises `ValueError` for a connection that lacks what is needed. Time-outs are in seconds.
        """
