"""URLs of the webserver for whoever has no Flask application to ask: mails, and the API's client.

Within a request, `flask.url_for` is what makes a URL.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote, urlencode

# Endpoints and their rules, as upstream's own code declares them: `build.py check` compares.
ROUTES = {
    "airflow.log": "/admin/airflow/log",
    "airflow.success": "/admin/airflow/success",
    "api_experimental.trigger_dag": "/api/experimental/dags/<string:dag_id>/dag_runs",
    "api_experimental.delete_dag": "/api/experimental/dags/<string:dag_id>",
    "api_experimental.get_pool": "/api/experimental/pools/<string:name>",
    "api_experimental.delete_pool": "/api/experimental/pools/<string:name>",
    "api_experimental.get_pools": "/api/experimental/pools",
    "api_experimental.create_pool": "/api/experimental/pools",
}
_PARAMETER = re.compile(r"<(?:[^:>]+:)?(\w+)>")


def url_below(base_url: str, endpoint: str, **values: str) -> str:
    """The URL of one of `ROUTES` on the webserver at `base_url`, whose path is kept.

    Values that the rule does not name become the query; all are escaped. Raises
    KeyError for another endpoint, and for a value that is missing.
    """
    path = _PARAMETER.sub(lambda parameter: quote(values.pop(parameter[1]), safe=""), ROUTES[endpoint])
    query = f"?{urlencode(values)}" if values else ""
    return f"{base_url.strip().rstrip('/')}{path}{query}"


def log_url(base_url: str, dag_id: str, task_id: str, execution_date: datetime) -> str:
    """The page that shows a task instance's log."""
    return _task_url("airflow.log", base_url, dag_id, task_id, execution_date)


def mark_success_url(base_url: str, dag_id: str, task_id: str, execution_date: datetime) -> str:
    """The page that asks whether to mark a task instance, and it alone, as success."""
    return _task_url("airflow.success", base_url, dag_id, task_id, execution_date)


def _task_url(endpoint: str, base_url: str, dag_id: str, task_id: str, execution_date: datetime) -> str:
    return url_below(
        base_url, endpoint, dag_id=dag_id, task_id=task_id, execution_date=execution_date.isoformat()
    )
