"""The route `goto_<platform>`: from a task instance to its command's page, or a page that says why not."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.exceptions import AirflowException
from airflow.hooks.base_hook import BaseHook
from airflow.models import DagModel, TaskInstance
from airflow.utils import timezone
from flask import Response, jsonify, make_response, redirect, render_template, request, url_for
from flask_login import current_user

from airflow_service.external_commands import registry
from airflow_service.external_commands.accounts import moved_to
from airflow_service.external_commands.command_ids import last_id
from airflow_service.external_commands.platform import CommandId, Platform, PlatformError
from airflow_service.external_commands.rows import Row
from airflow_service.gateway.answers import wants_page
from airflow_service.goto.buttons import route
from airflow_service.goto.tasks import connection_id, platform_of

_PARAMETERS = ("dag_id", "task_id", "execution_date")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)

log = logging.getLogger(__name__)


class NoPage(Exception):
    """There is nothing to lead to; `title` is short, and the exception's text says why."""

    def __init__(self, status: int, title: str, text: str) -> None:
        self.status, self.title = status, title
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Instance:
    """The task instance that is asked for; its time is UTC."""

    dag_id: str
    task_id: str
    execution_date: datetime


def goto(name: str, dagbag: Any, session: Any, *, by_owner: bool) -> Response:
    """Answer 302 with the address of a task instance's command on a platform, or a page of 4xx or 502.

    `name` is the platform's route, `by_owner` whether users see the DAGs of their own alone.
    """
    try:
        address = _address(name, dagbag, session, by_owner=by_owner)
    except NoPage as reason:
        return _explain(reason)
    answer: Response = redirect(address, 302)
    return answer


def _address(name: str, dagbag: Any, session: Any, *, by_owner: bool) -> str:
    platform = next((each for each in registry.platforms() if route(each) == name), None)
    if platform is None:
        raise NoPage(404, "No such platform", f"This Airflow knows no platform {name!r}.")
    asked = _asked(request.args)
    dag = dagbag.get_dag(asked.dag_id)
    if dag is None:
        raise NoPage(404, "No such DAG", f"There is no DAG {asked.dag_id!r}.")
    if by_owner:
        _refuse_others(asked.dag_id, session)
    if not dag.has_task(asked.task_id):
        raise NoPage(404, "No such task", f"The DAG {asked.dag_id!r} has no task {asked.task_id!r}.")
    task = dag.get_task(asked.task_id)
    of_task = platform_of(task)
    if of_task is None or of_task.name != platform.name:
        raise NoPage(404, "No command", f"The task {asked.task_id!r} runs no command on this platform.")
    return command_page(platform, task, asked, session)


def command_page(platform: Platform, task: Any, asked: Instance, session: Any) -> str:
    """Give the address of the page of a task instance's last command. Raises NoPage."""
    command_id, noted = _command(platform, asked, session)
    connection = _connection(platform, task, noted.connection_id if noted else None)
    try:
        _refuse_strangers(platform, connection, command_id, noted.account if noted else None)
        return _page(platform, connection, command_id)
    except ValueError as reason:
        raise NoPage(422, "No page", f"The command {command_id} has no page: {reason}.") from None


def _asked(given: Mapping[str, str]) -> Instance:
    missing = [name for name in _PARAMETERS if not given.get(name)]
    if missing:
        raise NoPage(400, "Incomplete address", f"The address lacks {' and '.join(missing)}.")
    for name in _PARAMETERS:
        # No database takes them all.
        if _CONTROL.search(given[name]):
            raise NoPage(400, "Faulty address", f"The address has control characters in {name}.")
    return Instance(given["dag_id"], given["task_id"], _date(given["execution_date"]))


def _date(text: str) -> datetime:
    """Read an execution date; without a zone it is of the configured one, as on the other pages."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        date = datetime.fromisoformat(text)
        offset = (timezone.make_aware(date) if date.tzinfo is None else date).utcoffset() or timedelta()
        return (date.replace(tzinfo=None) - offset).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise NoPage(400, "Faulty date", f"{text!r:.60} is no execution date.") from None


def _refuse_others(dag_id: str, session: Any) -> None:
    """Let nobody past the rule by which the list of DAGs is made, `[webserver] filter_by_owner`."""
    if current_user.is_superuser():
        return
    owners = session.query(DagModel.owners).filter(DagModel.dag_id == dag_id).scalar()
    mode = conf.get("webserver", "owner_mode").strip().lower()
    allowed = current_user.ldap_groups if mode == "ldapgroup" else [current_user.user.username]
    if mode in ("ldapgroup", "user") and owners not in allowed:
        raise NoPage(403, "Not allowed", f"The DAG {dag_id!r} is not yours.")


def _command(platform: Platform, asked: Instance, session: Any) -> tuple[CommandId, Row | None]:
    """Give the id of the instance's last command, and what was noted of it, if anything."""
    instances = session.query(TaskInstance.state).filter(
        TaskInstance.dag_id == asked.dag_id,
        TaskInstance.task_id == asked.task_id,
        TaskInstance.execution_date == asked.execution_date,
    )
    if instances.first() is None:
        raise NoPage(404, "No such run", f"The task {asked.task_id!r} has no run of {asked.execution_date}.")
    try:
        found = last_id(session, platform, asked)
    except ValueError as reason:
        text = f"The task has stored something as {platform.xcom_key!r} that is no id of a command: {reason}."
        raise NoPage(422, "No id of a command", text) from None
    if found is None:
        text = "The task has begun no command yet. It does so some moments after its start."
        raise NoPage(404, "No command yet", text)
    return found


def _connection(platform: Platform, task: Any, noted: str | None) -> Any:
    """Give the task's connection: the one that the command was begun with, if that is known."""
    try:
        name = noted or connection_id(platform, task)
    except LookupError as reason:
        raise NoPage(422, "No connection", f"{reason}.") from None
    if "{{" in name or "{%" in name:
        text = f"The task's connection is a template, {name!r:.200}, and what it came to is not known."
        raise NoPage(422, "No connection", text)
    try:
        return BaseHook.get_connection(name)
    except AirflowException:
        log.warning("The connection %s of the task %s cannot be had", name, task.task_id, exc_info=True)
        text = f"The task's connection {name!r:.200} does not exist here, or cannot be read."
        raise NoPage(404, "No such connection", text) from None


def _refuse_strangers(platform: Platform, connection: Any, command_id: CommandId, started_at: str | None) -> None:
    """Lead nobody to what has the command's number at another account, which its connection leads to by now."""
    account = moved_to(platform, connection, started_at)
    if account is not None:
        text = (
            f"The command {command_id} was started at {started_at}. The connection {connection.conn_id!r:.200} leads to"
            f" {account} by now, where that number is somebody else's."
        )
        raise NoPage(409, "The connection has moved", text)


def _page(platform: Platform, connection: Any, command_id: CommandId) -> str:
    """Give a command's address. Raises ValueError as the platform does, and NoPage."""
    try:
        page = platform.page_url(connection, command_id)
    except PlatformError as reason:
        raise NoPage(502, "No answer", f"The platform does not tell of the page: {reason}.") from None
    parts = urlsplit(page)
    if parts.scheme not in ("http", "https") or not parts.hostname or not (page.isascii() and page.isprintable()):
        raise NoPage(422, "No page", f"What the platform has for the command {command_id} is no address.")
    return page


def _explain(reason: NoPage) -> Response:
    if wants_page():
        label, address = _way_on(reason.status)
        page = render_template(
            "airflow_service/no_command.html", title=reason.title, text=str(reason), label=label, address=address
        )
        answer = make_response(page)
    else:
        answer = jsonify(error=str(reason))
    answer.status_code = reason.status
    return answer


def _way_on(status: int) -> tuple[str, str]:
    """The task's own page, or the list of DAGs if there may be none: not "back", for this is a tab of its own."""
    known = status not in (400, 403) and all(request.args.get(name) for name in _PARAMETERS)
    if known:
        asked = {name: request.args[name] for name in _PARAMETERS}
        return "To the task", str(url_for("airflow.task", **asked))
    return "To the list of DAGs", str(url_for("admin.index"))
