"""Every method of every route, asked for by each role: straight at the webserver, or through what stands before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from harness.role_server import ROLES, Answer

# What stands in the paths and queries of requests, so that views find something. What would change it asks
# for a DAG that is not there: the API needs no token.
_PARTS = {"export_type": "csv", "filename": "x.js", "form": "x", "dag_id": "pair", "task_id": "first",
          "execution_date": "2026-01-01T00:00:00%2B00:00", "paused": "true", "name": "none",
          "platform": "qds"}  # fmt: skip
_QUERY = (
    "?dag_id=pair&task_id=first&execution_date=2026-01-01T00:00:00%2B00:00&id=1&try_number=1&metadata=null"
    "&chart_id=1&dag_ids=pair"
)
# A view of the release that fails for everybody; no page leads to it.
_FAILING = {"airflow.index"}
_DENIED = {401, 403}
# What a form without its token is told. The role is judged before that (test_www_roles.py holds
# that), so whoever is told this has been let in.
_TOKEN = "The CSRF token is missing."
_WITHOUT_TOKENS = "/api/"

# A request by method, path below the prefix, and role; None is somebody without an assertion.
Ask = Callable[[str, str, str | None], Answer]


def requests(calls: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """Each call of `airflow-service routes --json` with a path for it, all parts filled in."""
    for call in calls:
        parts = _PARTS if call["method"] == "GET" else {**_PARTS, "dag_id": "none"}
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found, parts=parts: parts[found[1]], call["path"])
        yield call, path + (_QUERY if call["method"] == "GET" else "")


def sweep(
    calls: Iterable[dict[str, Any]],
    ask: Ask,
    roles: Iterable[str | None] = ROLES,
    nobody: Collection[int] = (401,),
) -> list[str]:
    """Ask for each call as each role; returns what is not as the table says, or a failing page.

    `nobody`: what those without an assertion may get where the table says 401, such as
    a redirect to a login.
    """
    wrong = []
    for call, path in requests(calls):
        for role in roles:
            answer = ask(call["method"], path, role)
            refused = call[role or "nobody"]
            wanted = nobody if refused == 401 else [refused]
            if answer.status not in wanted if refused else not _let_in(call, answer):
                wrong.append(f"{call['method']} {path} as {role}: {answer.status}, not {refused or 'let in'}")
            if call["method"] == "GET" and answer.status >= 500 and call["endpoint"] not in _FAILING:
                wrong.append(f"{call['method']} {path} as {role}: {answer.status} {answer.text[-300:]}")
    return wrong


def _let_in(call: dict[str, Any], answer: Answer) -> bool:
    """Whether the view was reached; or the check of a form's token, which nothing here passes."""
    if call["method"] == "GET" or call["path"].startswith(_WITHOUT_TOKENS):
        return answer.status not in _DENIED
    return answer.status == 400 and _TOKEN in answer.text
