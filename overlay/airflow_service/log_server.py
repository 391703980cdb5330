"""The worker's log server, and who may read from it: `airflow serve_logs` and the webserver call this.

The webserver asks a worker for a task's log with a token that it signs for that one
file and for some seconds (CVE-2021-35936: the release's log server answered
anyone). The key is `[webserver] secret_key`, which is the same on all nodes.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_service.config import read_service_section
from airflow_service.errors import EXIT_CONFIGURATION
from airflow_service.log_files import open_log
from airflow_service.masking import shown
from airflow_service.sources import Configuration, UnreadableValue

if TYPE_CHECKING:
    import requests
    from flask import Flask
    from werkzeug.datastructures import Range

log = logging.getLogger(__name__)

LIFE = 30
"""Seconds for which a token holds."""
LEEWAY = 90
"""Seconds by which the clocks of webserver and worker may differ."""
SHORTEST_KEY = 16
"""Characters; Airflow makes up 24 when it writes an airflow.cfg."""
_ALGORITHM = "HS256"
_AUDIENCE = "airflow-log-server"
# Not the key itself, which signs sessions: a token must not be of use elsewhere.
_PURPOSE = b"airflow_service.log_server"
_BLOCK = 65536
# A client that says nothing, or takes nothing, for this long is let go of.
_PATIENCE = 30


class WeakKey(Exception):
    """`[webserver] secret_key` cannot guard the logs; the message says why."""


class Refused(Exception):
    """A request that is not answered with a log; the message is for the server's own log."""


def key_fault(text: str) -> str:
    """What is wrong with a `[webserver] secret_key`, or nothing."""
    text = text.strip()
    if not text:
        return "it is not set: each process makes up its own"
    if text == "temporary_key":
        return "it is the one that old releases shipped"
    if len(text) < SHORTEST_KEY:
        return f"it has fewer than {SHORTEST_KEY} characters, and can be guessed"
    return ""


def signing_key() -> bytes:
    """The key of tokens. Raises WeakKey."""
    try:
        # Not Airflow's own reading, which makes up another value in each process where none is set.
        value = Configuration.read().get("webserver", "secret_key")
    except UnreadableValue as error:
        raise WeakKey(f"[webserver] secret_key cannot be read: {error}") from None
    text = value.text if value is not None else ""
    if fault := key_fault(text):
        raise WeakKey(f"[webserver] secret_key: {fault}; it has to be one long text, the same on all nodes")
    return hmac.new(text.encode(), _PURPOSE, hashlib.sha256).digest()


def sign(name: str, key: bytes) -> str:
    """A token for the log file of that name, relative to the log folder."""
    import jwt

    now = int(time.time())
    claims = {"aud": _AUDIENCE, "file": name, "iat": now, "exp": now + LIFE}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def check_token(authorization: str, name: str, key: bytes) -> None:
    """Raise Refused unless the header holds a token for that file that holds now."""
    import jwt

    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused("there is no token")
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=_AUDIENCE,
            leeway=LEEWAY,
            options={"require": ["aud", "file", "iat", "exp"]},
        )
    except jwt.InvalidTokenError as error:
        raise Refused(f"the token is not valid ({type(error).__name__})") from None
    if claims["exp"] > time.time() + LIFE + LEEWAY:
        raise Refused("the token holds for too long")
    if claims["file"] != name:
        raise Refused("the token is for another file")


def fetch_log(
    url: str, name: str, timeout: float | None, wanted: tuple[int, int] | None = None
) -> requests.Response:
    """Ask a log server for a file at `url`, which ends in its name; the answer, whatever it is but a refusal.

    With `wanted`, from the first of these bytes up to the second, the answer's content is
    still to be read, and is the whole file if its status is 200. Raises WeakKey, Refused,
    and requests' exceptions.
    """
    import requests

    # As it is on the server's disk: what is compressed on its way has no length, and no ranges.
    headers = {"Authorization": f"Bearer {sign(name, signing_key())}", "Accept-Encoding": "identity"}
    if wanted is not None:
        headers["Range"] = f"bytes={wanted[0]}-{wanted[1] - 1}"
    quoted = url.removesuffix(name) + quote(name)
    answer = requests.get(
        quoted, headers=headers, timeout=timeout, allow_redirects=False, stream=wanted is not None
    )
    if answer.status_code == 403:
        answer.close()
        raise Refused("It refuses: is [webserver] secret_key the same on its machine, and the clock right?")
    return answer


def make_app(folder: str, key: bytes) -> Flask:
    """The server: `GET /log/<name>` with a token, and nothing else."""
    from flask import Flask, Response, abort, request

    app = Flask(__name__, static_folder=None)
    # A name is what its token says, to the letter.
    app.url_map.merge_slashes = False

    @app.route("/log/<path:name>")  # type: ignore[untyped-decorator]  # the checks run without Flask
    def give(name: str) -> Response:
        try:
            check_token(request.headers.get("Authorization", ""), name, key)
        except Refused as refused:
            log.warning("Refused %s to %s: %s", shown(name), request.remote_addr, refused)
            abort(403)
        try:
            file = open_log(folder, name)
        except (OSError, ValueError) as error:
            log.info("There is no %s: %s", shown(name), error)
            abort(404)
        size = os.fstat(file).st_size
        part = _part(request.range, size)
        if part is None:
            start, end = 0, size
            response = Response(_content(file, size), mimetype="text/plain")
        else:
            start, end = part
            response = Response(_content(file, end, start), status=206 if end > start else 416, mimetype="text/plain")
            response.headers["Content-Range"] = f"bytes {f'{start}-{end - 1}' if end > start else '*'}/{size}"
        response.call_on_close(lambda: _close(file))
        response.content_length = end - start
        response.headers["Accept-Ranges"] = "bytes"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def _part(asked: Range | None, size: int) -> tuple[int, int] | None:
    """The range that a request asks for, empty if the file ends before it; None for all of the file."""
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    if asked.ranges[0][0] < -size:
        # The last bytes, and there are not that many.
        return None
    found: tuple[int, int] | None = asked.range_for_length(size)
    return found or (0, 0)


def _content(file: int, end: int, start: int = 0) -> Iterator[bytes]:
    """The bytes that were there when the size was told: a running task's log grows meanwhile."""
    while start < end and (block := os.pread(file, min(_BLOCK, end - start), start)):
        start += len(block)
        yield block


def _close(file: int) -> None:
    with suppress(OSError):
        os.close(file)


def serve(folder: str, port: int) -> None:
    """Serve logs until the process ends; with a key that guards nothing, end with exit code 78."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    try:
        key = signing_key()
    except WeakKey as error:
        print(f"airflow serve_logs: not started. {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIGURATION)

    class Handler(WSGIRequestHandler):  # type: ignore[misc]  # nor Werkzeug
        timeout = _PATIENCE

        def log_request(self, code: Any = "-", size: Any = "-") -> None:
            """Say nothing: refusals are logged where the reason is known."""

    folder = str(Path(folder).expanduser())
    host = read_service_section().settings.log_server_host
    server = make_server(host, port, make_app(folder, key), threaded=True, request_handler=Handler)
    log.info("Serving the logs of %s on %s, port %d", folder, host, port)
    server.serve_forever()
