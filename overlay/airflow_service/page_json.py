"""JSON as the pages and the API write it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flask.json.provider import DefaultJSONProvider


class PageJSONProvider(DefaultJSONProvider):  # type: ignore[misc]  # the checks run without Flask
    """Flask's JSON, for times of every zone.

    Werkzeug writes a time only if its zone is, or `astimezone` makes it, the
    standard library's UTC. Airflow's times are Pendulum's, which keep their own.
    """

    @staticmethod
    def default(value: Any) -> Any:
        """What `json` cannot write by itself; raises TypeError as Flask does."""
        if isinstance(value, datetime) and value.tzinfo is not None:
            value = datetime.fromtimestamp(value.timestamp(), UTC)
        return DefaultJSONProvider.default(value)


def script_json(value: Any) -> str:
    """JSON that cannot end the `<script>` that it stands in."""
    return json.dumps(value).replace("<", "\\u003c")
