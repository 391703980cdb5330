"""A platform as somebody else would register one, with its operators: it speaks to the stand-in."""

import time

import requests
from airflow.exceptions import AirflowException
from airflow.hooks.base_hook import BaseHook
from airflow.models import BaseOperator
from airflow_service.external_commands.platform import BadReply, NotFound, Refused, State, Unreachable

STATES = {
    "waiting": State.UNFINISHED,
    "running": State.UNFINISHED,
    "done": State.SUCCEEDED,
    "error": State.FAILED,
    "cancelled": State.CANCELLED,
}


class Client:
    def __init__(self, connection, connect_timeout, read_timeout):
        self.url = f"{connection.host}/v1.2/commands"
        self.session = requests.Session()
        self.session.headers["X-AUTH-TOKEN"] = connection.password
        self.timeouts = connect_timeout, read_timeout

    def ask(self, method, path="", **body):
        try:
            answer = self.session.request(
                method, self.url + path, json=body or None, timeout=self.timeouts, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__}") from None
        said = f"{method} {path}: {answer.status_code}"
        if answer.status_code == 404:
            raise NotFound(said)
        if answer.status_code in (401, 403):
            raise Refused(said)
        if answer.status_code != 200:
            raise Unreachable(said)
        try:
            return answer.json()
        except ValueError:
            raise BadReply(said) from None

    def start(self, **body):
        return self.ask("POST", command_type="Tiny", **body)["id"]

    def state(self, command_id):
        return STATES[self.ask("GET", f"/{command_id}")["status"]]

    def cancel(self, command_id):
        self.ask("PUT", f"/{command_id}", status="kill")


class TinyOperator(BaseOperator):
    """Runs a command to its end; `raises` is what it then does, and `name` is told to the platform."""

    template_fields = ("conn_id", "name")

    def __init__(self, conn_id="tiny", name="", raises=None, **kwargs):
        super().__init__(**kwargs)
        self.conn_id, self.name, self.raises = conn_id, name, raises

    def execute(self, context):
        client = Client(BaseHook.get_connection(self.conn_id), 5, 5)
        command_id = client.start(name=self.name)
        context["ti"].xcom_push(key="tiny_id", value=command_id)
        self.log.info("tiny command %s", command_id)
        while not (state := client.state(command_id)).is_final:
            time.sleep(0.2)
        if self.raises:
            raise self.raises
        if state is not State.SUCCEEDED:
            raise AirflowException(f"{command_id} ended as {state}")

    def on_kill(self):
        print("the operator's own on_kill")


class CheckingOperator(TinyOperator):
    """Looks at what the command found, so that its success is not yet the task's."""


class TidyOperator(TinyOperator):
    """Derived, with something of its own to clean up."""

    def on_kill(self):
        print("tidied up")


class Platform:
    name, label, xcom_key = "tiny", "Goto tiny", "tiny_id"
    operators = ("tiny_platform.TinyOperator",)

    def connection_id(self, task):
        return task.conn_id

    def decides(self, task):
        return not isinstance(task, CheckingOperator)

    def parse_id(self, value):
        if type(value) is not int or not 0 < value < 1 << 63:
            raise ValueError("it is no id of a command")
        return value

    def page_url(self, connection, command_id):
        return f"{connection.host}/{command_id}"

    def client(self, connection, connect_timeout, read_timeout):
        if not connection.host:
            raise ValueError("it has no host")
        return Client(connection, connect_timeout, read_timeout)


PLATFORM = Platform()
