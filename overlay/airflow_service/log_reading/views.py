"""What the webserver answers for the log page: one page at a time, and the download."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow.configuration import conf
from airflow.models import TaskInstance
from airflow.utils import timezone
from flask import Response, jsonify, request

from airflow_service.log_reading.download import attachment, whole_log
from airflow_service.log_reading.places import reads_by_range, sources_of
from airflow_service.log_reading.reader import Cursor, Look, Reader
from airflow_service.log_reading.tries import NoPlainName, numbers_of, try_of

_LONGEST_NUMBER = 19


class BadRequest(Exception):
    """A request that cannot be answered; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """The task instance that a request names, and what reads its logs."""

    ti: Any
    handler: Any

    def number(self) -> int:
        """The try. Raises BadRequest."""
        number = _whole_number("try_number")
        if number < 1:
            raise BadRequest("try_number begins with 1")
        return number


def log_page(dagbag: Any, session: Any) -> Response:
    """A page of a try's log, as JSON: the last one; after a cursor; or before an offset."""
    try:
        asked = _asked(dagbag, session)
        number = asked.number()
        if not reads_by_range(asked.handler):
            return jsonify(_read_by_handler(asked, number))
        reader = Reader(sources_of(asked.handler, asked.ti, number))
        if "before" in request.args:
            look = reader.before(request.args.get("place", ""), _whole_number("before"))
            return jsonify(_as_json(look) | {"over": False})
        this = try_of(asked.ti, number)
        settled = this.is_settled(_whole_number("quiet", 0))
        if "after" in request.args:
            arguments = request.args
            cursor = Cursor(arguments.get("place", ""), _whole_number("after"), arguments.get("mark", ""))
            look = reader.after(cursor, goes_on=not settled)
        else:
            look = reader.last()
        return jsonify(_as_json(look) | {"over": settled and look.is_at_end, "ended": this.is_over})
    except BadRequest as error:
        return _refusal(error)
    except NoPlainName as error:
        return _refusal(BadRequest(str(error)))


def download(dagbag: Any, session: Any) -> Response:
    """A try's whole log, or that of all tries, as a stream of plain text."""
    try:
        asked = _asked(dagbag, session)
        numbers = [asked.number()] if "try_number" in request.args else list(numbers_of(asked.ti))
        if not reads_by_range(asked.handler):
            return attachment(_file_name(asked.ti, numbers), _blocks_of_handler(asked, numbers))
        readers = [(number, Reader(sources_of(asked.handler, asked.ti, number))) for number in numbers]
        return whole_log(_file_name(asked.ti, numbers), readers)
    except BadRequest as error:
        return _refusal(error)
    except NoPlainName as error:
        return _refusal(BadRequest(str(error)))


def _asked(dagbag: Any, session: Any) -> Asked:
    dag_id, task_id = request.args.get("dag_id", ""), request.args.get("task_id", "")
    try:
        when = timezone.parse(request.args.get("execution_date", ""), "UTC")
    except (ValueError, OverflowError, TypeError):
        raise BadRequest("execution_date is no date") from None
    ti = (
        session.query(TaskInstance)
        .filter(
            TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id, TaskInstance.execution_date == when
        )
        .first()
    )
    if ti is None:
        raise BadRequest("There is no such task instance in the database.", 404)
    name = conf.get("core", "task_log_reader")
    handlers = logging.getLogger("airflow.task").handlers
    handler = next((one for one in handlers if one.name == name), None)
    if handler is None or not hasattr(handler, "read"):
        raise BadRequest(f"The handler that [core] task_log_reader names, {name}, does not read logs.", 404)
    dag = dagbag.get_dag(dag_id)
    if dag is not None and dag.has_task(task_id):
        ti.task = dag.get_task(task_id)
    return Asked(ti, handler)


def _whole_number(name: str, default: int | None = None) -> int:
    text = request.args.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER):
        raise BadRequest(f"{name} is no whole number")
    return int(text)


def _as_json(look: Look) -> dict[str, Any]:
    page, cursor = look.page, look.cursor
    return {
        "text": page.text if page else "",
        "start": page.start if page else 0,
        "end": page.end if page else 0,
        "size": look.size,
        "within_line": page.within_line if page else False,
        "found": page is not None,
        # Three bytes may wait for the rest of their character.
        "more": page is not None and page.start < page.end < look.size - 3,
        "cursor": {"place": cursor.place, "after": cursor.offset, "mark": cursor.mark} if cursor else None,
        "anew": look.begins_anew,
        "where": look.where,
        "told": look.told,
        "ahead": look.ahead,
        "trouble": look.trouble,
    }


def _read_by_handler(asked: Asked, number: int) -> dict[str, Any]:
    """What another handler than ours reads: all of it, or what it says comes after its last answer."""
    try:
        metadata = json.loads(request.args.get("metadata", "null")) or {}
    except ValueError:
        raise BadRequest("metadata is no JSON") from None
    logs, metadatas = asked.handler.read(asked.ti, number, metadata=metadata)
    metadata = metadatas[0]
    return {
        "text": f"{logs[0]}\n" if logs[0] else "",
        "found": True,
        "metadata": metadata,
        "over": bool(metadata.get("end_of_log")),
        "more": False,
    }


def _blocks_of_handler(asked: Asked, numbers: list[int]) -> Iterator[bytes]:
    for number in numbers:
        metadata: dict[str, Any] = {"download_logs": True}
        while not metadata.get("end_of_log"):
            logs, metadatas = asked.handler.read(asked.ti, number, metadata=metadata)
            metadata = metadatas[0]
            yield "".join(f"{log}\n" for log in logs).encode("utf-8", "replace")


def _file_name(ti: Any, numbers: list[int]) -> str:
    tries = str(numbers[0]) if len(numbers) == 1 else "all"
    return f"{ti.dag_id}-{ti.task_id}-{ti.execution_date.isoformat()}-{tries}.log"


def _refusal(error: BadRequest) -> Response:
    return Response(f"{error}\n", status=error.status, mimetype="text/plain")
