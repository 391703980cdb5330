"""A WSGI application that writes down each request that gets to it; below `…/read` it reads the body."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read() if path.endswith("/read") else b""
    seen = {
        "path": path,
        "method": environ["REQUEST_METHOD"],
        "assertion": environ.get("HTTP_X_AIRFLOW_ASSERTION"),
        "body": len(body),
    }
    with open(os.environ["RECORD"], "a", encoding="utf-8") as file:
        file.write(f"{json.dumps(seen)}\n")
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\n"]
