"""One request to a platform's API, and what its answer comes down to."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from urllib3 import exceptions as urllib3_errors

from airflow_service.external_commands.platform import BadReply, NotFound, Refused, Unreachable

# An answer tells of one command; Qubole's may hold the command's own text.
_MOST = 4 << 20
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Api:
    """Where an API is, and what each request bears; time-outs in seconds."""

    url: str
    headers: dict[str, str]
    connect_timeout: float
    read_timeout: float
    auth: tuple[str, str] | None = None
    session: requests.Session = field(default_factory=requests.Session)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Make one request; returns the JSON object that it was answered with.

        Redirects are not followed, since they would take the token elsewhere. Raises
        `PlatformError`, whose text holds nothing of what was sent but the address.
        """
        url = f"{self.url}/{path}"
        what = f"{method} {url}"
        try:
            answer = self.session.request(
                method, url, json=body, headers=self.headers, auth=self.auth or _as_given, allow_redirects=False,
                stream=True, timeout=(self.connect_timeout, self.read_timeout),
            )  # fmt: skip
            with answer:
                content = _read(answer, self.read_timeout)
        except (requests.Timeout, requests.ConnectionError, TimeoutError) as error:
            raise Unreachable(f"{what}: no answer ({type(error).__name__})") from None
        except (requests.RequestException, urllib3_errors.DecodeError, UnicodeError, ValueError) as error:
            # An address or a header that cannot be sent, an encoding that is broken.
            raise BadReply(f"{what}: {type(error).__name__}") from None
        except urllib3_errors.HTTPError as error:
            # The body is read from urllib3 itself, whose errors are not those of requests.
            raise Unreachable(f"{what}: the answer breaks off ({type(error).__name__})") from None
        return _object(what, answer.status_code, content)


def _as_given(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request's token as it is: without this, a machine in ~/.netrc would replace it."""
    return request


def _read(answer: requests.Response, seconds: float) -> bytes:
    """Read the body within a time, also if it comes byte by byte. Raises TimeoutError and ValueError."""
    end = time.monotonic() + seconds
    content = bytearray()
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        content += piece
        if len(content) > _MOST:
            raise ValueError("the answer does not end")
        if time.monotonic() > end:
            raise TimeoutError
    return bytes(content)


def _object(what: str, status: int, content: bytes) -> dict[str, Any]:
    answered = f"{what}: {status}"
    if status in (401, 403):
        raise Refused(answered)
    if status == 404:
        raise NotFound(answered)
    if status in (408, 425, 429, 449) or status >= 500:
        raise Unreachable(answered)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and _says_not_found(status, value):
        raise NotFound(answered)
    if not 200 <= status < 300:
        raise BadReply(answered)
    if not isinstance(value, dict):
        raise BadReply(f"{answered}, and no JSON object")
    return value


def _says_not_found(status: int, value: dict[str, Any]) -> bool:
    """Databricks answers 400 for a run that it does not know."""
    code = value.get("error_code")
    return status == 400 and (
        code == "RESOURCE_DOES_NOT_EXIST"
        or (code == "INVALID_PARAMETER_VALUE" and "does not exist" in str(value.get("message")))
    )
