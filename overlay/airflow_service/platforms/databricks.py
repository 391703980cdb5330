"""Databricks: runs of the two operators that submit them, their states, and their pages."""

from __future__ import annotations

from typing import Any

from airflow_service.external_commands.platform import BadReply, CommandId, State
from airflow_service.platforms.addresses import Address, read_address
from airflow_service.platforms.asking import Api
from airflow_service.platforms.deriving import leaves_all_to_command
from airflow_service.platforms.ids import named_connection, parse_number

_API = "api/2.0/jobs"
_OPERATORS = "airflow.contrib.operators.databricks_operator"
_RESULTS = {"SUCCESS": State.SUCCEEDED, "CANCELED": State.CANCELLED}
# Seconds: somebody who pressed a button waits.
_PAGE_TIMEOUT = 5.0


def _address(connection: Any) -> Address:
    """Where the workspace is: as Airflow's hook takes it, by https alone. Raises ValueError."""
    extra = connection.extra_dejson
    host = extra.get("host") if "token" in extra else connection.host
    if not isinstance(host, str) or not host.strip():
        raise ValueError("the connection has no host")
    return read_address(host, schemes=("https",))


class DatabricksClient:
    """Asks Databricks for one connection."""

    def __init__(self, connection: Any, connect_timeout: float, read_timeout: float) -> None:
        """Raises ValueError for a host that is none."""
        extra = connection.extra_dejson
        token = extra.get("token")
        headers = {"Authorization": f"Bearer {token}"} if "token" in extra else {}
        auth = None if "token" in extra else (connection.login or "", connection.password or "")
        # The hook leaves a path out, too.
        url = f"{_address(connection).origin}/{_API}"
        self._api = Api(url, headers, connect_timeout, read_timeout, auth)

    def state(self, command_id: CommandId) -> State:
        """Ask for a run's state: its result tells only once it has terminated."""
        state = self._run(command_id).get("state")
        life = state.get("life_cycle_state") if isinstance(state, dict) else None
        if not isinstance(state, dict) or not isinstance(life, str) or not life:
            raise BadReply(f"run {command_id}: an answer without a state")
        if life in ("SKIPPED", "INTERNAL_ERROR"):
            return State.FAILED
        if life != "TERMINATED":
            return State.UNFINISHED
        return _RESULTS.get(str(state.get("result_state")), State.FAILED)

    def cancel(self, command_id: CommandId) -> None:
        """Ask for a run to be cancelled; one that has ended is answered alike."""
        self._api.ask("POST", "runs/cancel", {"run_id": int(command_id)})

    def page(self, command_id: CommandId) -> str:
        """Ask for the address of a run's page. Raises `PlatformError`."""
        page = self._run(command_id).get("run_page_url")
        if not isinstance(page, str):
            raise BadReply(f"run {command_id}: an answer without a page")
        return page

    def _run(self, command_id: CommandId) -> dict[str, Any]:
        return self._api.ask("GET", f"runs/get?run_id={int(command_id)}")


class Databricks:
    """The platform; `external_commands.platform.Platform` says what each part is for."""

    name = "databricks"
    label = "Goto Databricks"
    operators = (f"{_OPERATORS}.DatabricksSubmitRunOperator", f"{_OPERATORS}.DatabricksRunNowOperator")
    xcom_key = "run_id"

    def connection_id(self, task: Any) -> str:
        """Give the operator's `databricks_conn_id`. Raises LookupError."""
        return named_connection(task, "databricks_conn_id")

    def decides(self, task: Any) -> bool:
        """Whether a run that succeeded makes the task a success: the two operators do no more than wait for it."""
        return leaves_all_to_command(task, self.operators)

    def parse_id(self, value: object) -> int:
        """Take a run's number. Raises ValueError."""
        return parse_number(value)

    def page_url(self, connection: Any, command_id: CommandId) -> str:
        """Give the page of a run, which only its API knows: it is asked.

        Raises ValueError if the page is not one of the workspace's, and `PlatformError` without an answer.
        """
        page = DatabricksClient(connection, _PAGE_TIMEOUT, _PAGE_TIMEOUT).page(command_id)
        origin = _address(connection).origin
        if not page.startswith(f"{origin}/") or not page.isascii() or not page.isprintable():
            raise ValueError(f"the page of run {command_id} is not one of {origin}")
        return page

    def account(self, connection: Any) -> str:
        """Say whose ids a connection's runs have: the workspace's. Raises ValueError."""
        return _address(connection).origin

    def client(self, connection: Any, connect_timeout: float, read_timeout: float) -> DatabricksClient:
        """Make a client for a connection. Raises ValueError."""
        return DatabricksClient(connection, connect_timeout, read_timeout)


PLATFORM = Databricks()
