"""The part of Qubole's API that its SDK uses, version 1.2 and latest, and a page for each command."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from stand_in.answers import Answer, Asked, as_json, as_text
from stand_in.commands import FINAL, Command, Commands

NAME = "qubole"
_API = re.compile(r"/api/(?:v1\.2|v2|latest)/(.*)")
_COMMAND = re.compile(r"commands/(\d+)(?:/(logs|results|jobs))?")
_ERRORS = {
    401: "Invalid Token",
    403: "Access Denied.",
    404: "Command not found",
    405: "Method not allowed",
    422: "The request is not understood",
    429: "Rate limit exceeded",
    503: "Service unavailable",
}


def token_of(headers: Any) -> str | None:
    """Give the token that a request bears."""
    found: str | None = headers.get("X-AUTH-TOKEN")
    return found


def takes(path: str) -> bool:
    return _API.fullmatch(path) is not None


def page(commands: Commands, asked: Asked) -> Answer | None:
    """Give a command's page in the UI, which asks for no login here."""
    if asked.path != "/v2/analyze":
        return None
    given = asked.query.get("command_id", "")
    known = next((command for command in commands if str(command.id) == given), None)
    status = known.status if known else "unknown"
    return as_text(
        "<!doctype html><title>QDS</title>"
        f"<h1>Command {html.escape(given)}</h1><p id=status>{html.escape(status)}</p>",
        "text/html",
        200 if known else 404,
    )


def error(status: int) -> Answer:
    """Give an error as the API words it."""
    message = _ERRORS.get(status, "Something went wrong")
    return as_json({"error": {"error_code": status, "error_message": message}}, status)


def answer(commands: Commands, asked: Asked, url: str) -> Answer:
    """Carry a request out."""
    match = _API.fullmatch(asked.path)
    resource = match[1] if match else ""
    if resource == "commands":
        if asked.method != "POST":
            return error(405)
        if not isinstance(asked.body, dict) or "command_type" not in asked.body:
            return error(422)
        return as_json(_describe(commands.create(asked.account, asked.body)))
    if resource in ("sensors/file_sensor", "sensors/partition_sensor"):
        # The stand-in has what is named so.
        return as_json({"status": "present" in json.dumps(asked.body)})
    if resource == "account/credentials" or resource.startswith("accounts/get_creds"):
        return as_json(commands.storage)
    found = _COMMAND.fullmatch(resource)
    command = commands.find(asked.account, int(found[1])) if found else None
    if found is None or command is None:
        return error(404)
    if asked.method == "PUT":
        return _cancel(command, asked.body)
    if asked.method != "GET":
        return error(405)
    return _part(command, found[2], asked)


def _part(command: Command, part: str | None, asked: Asked) -> Answer:
    plan = command.plan
    if part == "logs":
        return as_text(plan.log)
    if part == "jobs":
        return as_json([dict(job) for job in plan.jobs])
    if part == "results":
        if command.status not in FINAL:
            return error(422)
        if plan.result_locations or asked.query.get("inline", "").lower() == "false":
            places = plan.result_locations or (f"s3://stand-in/results/{command.id}",)
            return as_json({"id": command.id, "inline": False, "result_location": list(places)})
        return as_json({"id": command.id, "inline": True, "results": plan.results})
    return as_json(_describe(command))


def _cancel(command: Command, body: Any) -> Answer:
    if not isinstance(body, dict) or body.get("status") != "kill":
        return error(422)
    in_time = command.cancel()
    result = "kill succeeded" if in_time else "command already completed"
    return as_json({"kill_succeeded": str(in_time).lower(), "result": result})


def _describe(command: Command) -> dict[str, Any]:
    given = command.given
    path = f"commands/{command.id}"
    return {
        "id": command.id,
        "status": command.status,
        "progress": 100 if command.status in FINAL else 0,
        "command_type": given.get("command_type"),
        "command_source": "API",
        "name": given.get("name"),
        "label": given.get("label") or "default",
        "tags": given.get("tags"),
        "can_notify": given.get("can_notify", False),
        "command": {name: value for name, value in given.items() if name not in ("command_type", "tags")},
        "meta_data": {"logs_resource": f"{path}/logs", "results_resource": f"{path}/results"},
        "num_result_dir": -1,
        "qbol_session_id": 1,
        "user_id": 1,
        "path": f"/tmp/stand-in/{command.id}",
    }
