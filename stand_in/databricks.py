"""The part of Databricks' jobs API, 2.0, that Airflow's hook uses."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from stand_in.answers import Answer, Asked, as_json, as_text
from stand_in.commands import Command, Commands

NAME = "databricks"
_API = "/api/2.0/jobs/"
_ERRORS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
_STATES: dict[str, dict[str, str]] = {
    "waiting": {"life_cycle_state": "PENDING"},
    "running": {"life_cycle_state": "RUNNING"},
    "done": {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS"},
    "error": {"life_cycle_state": "TERMINATED", "result_state": "FAILED"},
    "cancelled": {"life_cycle_state": "TERMINATED", "result_state": "CANCELED"},
}


def token_of(headers: Any) -> str | None:
    """Give the token that a request bears, or the password that it has instead."""
    scheme, _, given = str(headers.get("Authorization", "")).partition(" ")
    if scheme == "Bearer":
        return given
    if scheme == "Basic":
        return b64decode(given).decode().partition(":")[2]
    return None


def takes(path: str) -> bool:
    return path.startswith(_API)


def page(commands: Commands, asked: Asked) -> Answer | None:
    """Give the UI's one page: which run it shows is in the fragment, which no server sees."""
    text = "<!doctype html><title>Databricks</title><h1>Run</h1>"
    return as_text(text, "text/html") if asked.path == "/" else None


def error(status: int) -> Answer:
    """Give an error as the API words it."""
    return as_json(
        {"error_code": _ERRORS.get(status, "INTERNAL_ERROR"), "message": "Something went wrong"}, status
    )


def answer(commands: Commands, asked: Asked, url: str) -> Answer:
    """Carry a request out."""
    body = asked.body if isinstance(asked.body, dict) else {}
    match asked.method, asked.path.removeprefix(_API):
        case "POST", "runs/submit":
            return as_json({"run_id": commands.create(asked.account, {**body, "run_type": "SUBMIT_RUN"}).id})
        case "POST", "run-now":
            run = commands.create(asked.account, {**body, "run_type": "JOB_RUN"})
            return as_json({"run_id": run.id, "number_in_job": 1})
        case ("GET", "runs/get") | ("POST", "runs/cancel"):
            given = str(body.get("run_id", asked.query.get("run_id", "")))
            found = commands.find(asked.account, int(given)) if given.isdigit() else None
            if found is None:
                message = f"Run {given} does not exist."
                return as_json({"error_code": "INVALID_PARAMETER_VALUE", "message": message}, 400)
            if asked.method == "POST":
                found.cancel()
                return as_json({})
            return as_json(_describe(found, url))
    return error(404)


def _describe(run: Command, url: str) -> dict[str, Any]:
    job = run.given.get("job_id", 7)
    return {
        "run_id": run.id,
        "job_id": job,
        "number_in_job": 1,
        "state": {**_STATES[run.status], "state_message": ""},
        "run_page_url": run.given.get("run_page_url", f"{url}/?o=1#job/{job}/run/1"),
    }
