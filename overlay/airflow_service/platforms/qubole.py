"""Qubole: commands of QuboleOperator, their states, and their pages in QDS."""

from __future__ import annotations

from typing import Any

from airflow_service.external_commands.platform import BadReply, CommandId, State
from airflow_service.platforms.addresses import Address, read_address
from airflow_service.platforms.asking import Api
from airflow_service.platforms.deriving import leaves_all_to_command
from airflow_service.platforms.ids import named_connection, parse_number

DEFAULT_HOST = "https://api.qubole.com/api"
VERSION = "v1.2"
_OPERATORS = "airflow.contrib.operators"
_FINAL = {"done": State.SUCCEEDED, "error": State.FAILED, "cancelled": State.CANCELLED}


def api_address(connection: Any) -> Address:
    """Where a connection's API is: its host, as the SDK takes it. Raises ValueError."""
    return read_address(connection.host or DEFAULT_HOST)


class QuboleClient:
    """Asks Qubole for one connection, whatever the SDK is set to."""

    def __init__(self, connection: Any, connect_timeout: float, read_timeout: float) -> None:
        """Raises ValueError for a host that is none."""
        headers = {"X-AUTH-TOKEN": connection.password or "", "Accept": "application/json"}
        url = f"{api_address(connection).url}/{VERSION}"
        self._api = Api(url, headers, connect_timeout, read_timeout)

    def state(self, command_id: CommandId) -> State:
        """Ask for a command's state: whatever is not final may still come to an end, as the SDK has it."""
        status = self._api.ask("GET", f"commands/{int(command_id)}").get("status")
        if not isinstance(status, str) or not status:
            raise BadReply(f"command {command_id}: an answer without a status")
        return _FINAL.get(status, State.UNFINISHED)

    def cancel(self, command_id: CommandId) -> None:
        """Ask for a command to be cancelled; that it has ended already is told in the answer, and no error."""
        self._api.ask("PUT", f"commands/{int(command_id)}", {"status": "kill"})


class Qubole:
    """The platform; `external_commands.platform.Platform` says what each part is for."""

    name = "qubole"
    label = "Goto QDS"
    goto = "qds"
    operators = (f"{_OPERATORS}.qubole_operator.QuboleOperator",)
    xcom_key = "qbol_cmd_id"

    def connection_id(self, task: Any) -> str:
        """Give the operator's `qubole_conn_id`. Raises LookupError."""
        return named_connection(task, "qubole_conn_id")

    def decides(self, task: Any) -> bool:
        """Whether a command that is done makes the task a success: a check has yet to look at its results."""
        return leaves_all_to_command(task, self.operators)

    def parse_id(self, value: object) -> int:
        """Take a command's number. Raises ValueError."""
        return parse_number(value)

    def page_url(self, connection: Any, command_id: CommandId) -> str:
        """Give the page of a command: beside the API, whose address ends in `/api`. Raises ValueError."""
        address = api_address(connection)
        place = address.path.removesuffix("/api")
        return f"{address.origin}{place}/v2/analyze?command_id={int(command_id)}"

    def account(self, connection: Any) -> str:
        """Say whose ids a connection's commands have: the environment's, whatever the scheme. Raises ValueError."""
        address = api_address(connection)
        return f"{address.origin.partition('://')[2]}{address.path.removesuffix('/api')}"

    def client(self, connection: Any, connect_timeout: float, read_timeout: float) -> QuboleClient:
        """Make a client for a connection. Raises ValueError."""
        return QuboleClient(connection, connect_timeout, read_timeout)


PLATFORM = Qubole()
