"""Bringing commands to an end that is known: look, cancel what runs, verify, and remember the rest."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.exceptions import AirflowException

from airflow_service.external_commands import asking, claims, registry, table
from airflow_service.external_commands.accounts import connections_of, moved_to
from airflow_service.external_commands.asking import Answer
from airflow_service.external_commands.command_ids import id_of_text
from airflow_service.external_commands.options import ExternalCommandOptions
from airflow_service.external_commands.platform import Client, CommandId, Platform, State
from airflow_service.external_commands.rows import Row
from airflow_service.external_commands.side_by_side import side_by_side

log = logging.getLogger(__name__)

THREADS = 32
"""Requests at a time. They wait most of it: what bounds them is what a platform takes from one cluster."""

_OVER = (State.FAILED, State.CANCELLED)
"""The ends of which nobody has to be told: a success stays open until its task is one, or cannot become one."""

_ASKING = 0.85
"""How much of the time-out is for asking; the rest is for what is written before and after."""


def settings() -> ExternalCommandOptions:
    """Read the time-outs; as they are by default if the section holds mistakes, which stop a start elsewhere."""
    from airflow_service.config import read_service_section
    from airflow_service.errors import WrongSettings

    try:
        return read_service_section().settings
    except WrongSettings:
        return ExternalCommandOptions()


@dataclass(frozen=True, slots=True)
class _Ask:
    """A command, with what it takes to ask for it."""

    row: Row
    platform: Platform
    connection: Any
    command_id: CommandId


class Settling:
    """Settles commands side by side, all by one deadline. Their table is used by the calling thread alone."""

    def __init__(
        self,
        engine: Any,
        options: ExternalCommandOptions | None = None,
        connections: Mapping[str, Any] | None = None,
    ) -> None:
        """`connections` are those that need not be looked up, by their ids."""
        self._engine = engine
        self._known = dict(connections or {})
        self._options = options or settings()
        self._deadline = time.monotonic() + self._options.external_command_timeout * _ASKING
        self._clients = threading.local()
        self._sent: set[int] = set()
        """Rows whose commands were asked to be cancelled; of these, only its thread knows of what is late."""
        self._late: set[int] = set()

    def settle(self, rows: Sequence[Row], reason: str) -> dict[int, Answer]:
        """Ask for commands' states, and cancel those that have not come to their end; answers by the rows' ids.

        That they are to be cancelled is written before anything is asked, so that it is known whatever
        becomes of this process. Those that somebody else is settling are left to them, and waited for.
        Those that have succeeded are left open, for the caller to end them once its task has got to know.
        """
        if not rows:
            return {}
        # Those without a row are nobody else's.
        mine = self._taken(rows, reason) | {row.id for row in rows if row.id < 0}
        answers, asks = self._prepared(rows)
        answers |= self._round(asks, mine)
        try:
            self._write(rows, answers, mine)
        except AirflowException:  # a kill that comes now
            raise
        except Exception:
            log.exception("What became of commands on outside platforms cannot be written down")
        return answers

    def _round(self, asks: Sequence[_Ask], mine: set[int]) -> dict[int, Answer]:
        by_id = {ask.row.id: ask for ask in asks}

        def one(row_id: int) -> Answer:
            ask = by_id[row_id]
            try:
                client = self._client(ask)
            except Exception as error:
                return Answer(trouble=f"the connection {ask.row.connection_id} is of no use: {error}")
            answer = _believed(ask.row, asking.look(client, ask.command_id, self._deadline))
            if answer.state is not State.UNFINISHED:
                return answer
            just_sent = ask.row.sent_at is not None and time.time() - ask.row.sent_at < RESEND
            if just_sent or row_id not in mine:
                return asking.wait(client, ask.command_id, self._deadline)
            return asking.cancel(client, ask.command_id, self._deadline, lambda sent: self._tell(row_id, sent))

        answers = side_by_side(one, list(by_id), THREADS, self._deadline)
        self._late = by_id.keys() - answers.keys()
        trouble = f"no answer within {self._options.external_command_timeout * _ASKING:g} s"
        return answers | {row_id: Answer(trouble=trouble, sent=row_id in self._sent) for row_id in self._late}

    def _tell(self, row_id: int, sent: bool) -> None:
        (self._sent.add if sent else self._sent.discard)(row_id)

    def _client(self, ask: _Ask) -> Client:
        """Give this thread's client for a connection: it keeps its TCP connection from one command to the next."""
        clients = self._clients.__dict__.setdefault("by_connection", {})
        key = ask.row.platform, ask.row.connection_id
        if key not in clients:
            timeout = self._options.external_command_request_timeout
            clients[key] = ask.platform.client(ask.connection, timeout, timeout)
        client: Client = clients[key]
        return client

    def _prepared(self, rows: Sequence[Row]) -> tuple[dict[int, Answer], list[_Ask]]:
        """Find platforms, connections and ids; an answer for each row that lacks one."""
        now = time.monotonic()
        wanted = {row.connection_id for row in rows} - self._known.keys()
        # One that hangs leaves the commands of the others half of the time.
        connections = self._known | connections_of(wanted, now + (self._deadline - now) / 2)
        answers: dict[int, Answer] = {}
        asks: list[_Ask] = []
        for row in rows:
            try:
                asks.append(_ask(row, connections.get(row.connection_id)))
            except Exception as error:
                answers[row.id] = Answer(trouble=f"{type(error).__name__}: {error}")
        return answers, asks

    def _taken(self, rows: Sequence[Row], reason: str) -> set[int]:
        """Note what is to be cancelled, and claim it; the ids of what is this process's to cancel."""
        # Longer than this can take, so that a claim of whoever was killed passes to the next.
        seconds = self._options.external_command_timeout + 2 * self._options.external_command_request_timeout
        try:
            # Apart: what the first has locked is in no order of the second's.
            with self._engine.begin() as connection:
                table.want_cancel(connection, rows, reason)
            with self._engine.begin() as connection:
                return claims.claim(connection, rows, seconds)
        except AirflowException:
            raise
        except Exception:
            # To cancel twice is better than not at all.
            log.exception("The table of commands on outside platforms cannot be written")
            return {row.id for row in rows}

    def _write(self, rows: Sequence[Row], answers: dict[int, Answer], mine: set[int]) -> None:
        with self._engine.begin() as connection:
            for state in _OVER:
                table.end(connection, [row.id for row in rows if answers[row.id].state is state], state.value)
            left = [row.id for row in rows if row.id in mine and answers[row.id].state not in _OVER]
            for row_id in left:
                table.note(connection, row_id, sent=answers[row_id].sent, trouble=answers[row_id].trouble)
            # What a thread is still at stays claimed: it may be just about to cancel it.
            claims.release(connection, [row_id for row_id in left if row_id not in self._late])


BELIEVED_AFTER = 86400.0
"""Seconds after a command's start from which "not found" is taken for its end. Until then its connection
may have been given another account for a while."""
RESEND = 120.0
"""Seconds after which a command that was asked to be cancelled, and still runs, is asked again."""


def _believed(row: Row, answer: Answer) -> Answer:
    if answer.absent and time.time() - row.started_at > BELIEVED_AFTER:
        return Answer(State.FAILED, f"no longer known: {answer.trouble}", absent=True)
    return answer


class ConnectionMoved(Exception):
    """A command was started at another account than its connection leads to: there, its id is a stranger's."""


def _ask(row: Row, connection: Any) -> _Ask:
    """Put together what it takes to ask for a command; raises whatever is in the way."""
    platform = registry.named(row.platform)
    if platform is None:
        raise LookupError(f"the platform {row.platform} is not installed here")
    if connection is None:
        raise TimeoutError(f"the connection {row.connection_id} could not be had in time")
    if isinstance(connection, Exception):
        raise connection
    if (account := moved_to(platform, connection, row.account)) is not None:
        log.warning("The %s was started at %s, not at %s: it is not asked for", row, row.account, account)
        raise ConnectionMoved(f"the connection {row.connection_id} leads to {account}; it was started at {row.account}")
    return _Ask(row, platform, connection, id_of_text(platform, row.command_id))
