"""Qubole's SDK for several connections in one process.

The SDK keeps its settings in one class, for the whole process: the connection that
was used last has them. Here each hook's calls are made by an agent of its own, in
whichever thread they are made, and other users of the SDK go on as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from qds_sdk.connection import Connection
from qds_sdk.exception import ResourceNotFound
from qds_sdk.qubole import Qubole, QuboleAuth

from airflow_service.platforms.qubole import VERSION, api_address

P = ParamSpec("P")
T = TypeVar("T")

# Seconds in which a command that was just created may not be found, and what is waited between two looks.
_PATIENCE = 60.0
_PAUSE = 2.0
# As the SDK's own: retries, and seconds before the first of them, which double.
_RETRIES, _DELAY = 7, 10


class Account:
    """Makes the SDK's calls for one connection."""

    def __init__(self, connection: Any) -> None:
        """Raises ValueError for a connection whose host is no address."""
        self._auth = QuboleAuth(connection.password)
        self._url = api_address(connection).url
        self._agents: dict[str, Connection] = {}

    def agent(self, version: str | None = None) -> Connection:
        """What the SDK asks by; one for each version of the API."""
        version = version or VERSION
        if version not in self._agents:
            self._agents[version] = Connection(
                self._auth, f"{self._url}/{version}", False, True, _RETRIES, _DELAY
            )
        return self._agents[version]

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Whatever of the SDK is called within is called for this connection."""
        token = _calling.set(self)
        try:
            yield
        finally:
            _calling.reset(token)


_calling: ContextVar[Account | None] = ContextVar("_calling", default=None)
_settings_of_the_process = Qubole.agent


def _agent(version: str | None = None) -> Connection:
    account = _calling.get()
    return account.agent(version) if account else _settings_of_the_process(version)


# All of the SDK's calls ask for their agent here, each time.
Qubole.agent = _agent


def by_own_account(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method of something that has an `account` call the SDK for it."""

    @wraps(method)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        itself: Any = arguments[0]
        with itself.account.calling():
            return method(*arguments, **named)

    return call


def find(command: Any, created: float) -> Any:
    """Look a command up by the SDK; one made a moment ago may not be found at first.

    `created` is the `time.monotonic()` of its creation. Raises what the SDK raises.
    """
    while True:
        try:
            return type(command).find(command.id)
        except ResourceNotFound:
            if time.monotonic() - created > _PATIENCE:
                raise
            time.sleep(_PAUSE)
