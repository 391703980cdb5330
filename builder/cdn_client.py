"""Ask a CDN over HTTP, and get the answer as it came: nothing decoded, no redirect followed."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

import truststore

from builder.errors import InvalidPlace, StoreUnavailable

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the body as it came, names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def listed(self, name: str) -> set[str]:
        """The values of a header that is a list, in lower case."""
        return {part.strip().lower() for part in self.header(name).split(",")} - {""}


class Cdn:
    """A CDN's URL, asked over connections that are kept, one for each thread."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = _parse(url)
        self.url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._own = threading.local()
        self._opened: list[http.client.HTTPConnection] = []
        host, port = parts.hostname or "", parts.port
        self._connect: Callable[[], http.client.HTTPConnection]
        if parts.scheme == "https":
            trusted: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._connect = lambda: http.client.HTTPSConnection(host, port, timeout=timeout, context=trusted)
        else:
            self._connect = lambda: http.client.HTTPConnection(host, port, timeout=timeout)

    def get(self, key: str, headers: dict[str, str]) -> Answer:
        """The answer to a GET. Raises StoreUnavailable after some attempts without one."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._ask(f"{self._base}/{quote(key)}", headers)
            except (OSError, http.client.HTTPException) as error:
                self._forget()
                if attempt == ATTEMPTS:
                    raise StoreUnavailable(
                        f"{self.url} gives no answer to GET {key}: {error or type(error).__name__}",
                        cause="a wrong URL, no network, or a CDN that is down",
                        next_step="open the URL in a browser, and run the same command again",
                    ) from None
        raise AssertionError("every attempt returns or raises")

    def close(self) -> None:
        """Close every connection; nothing may be under way any more."""
        for connection in self._opened:
            connection.close()

    def _forget(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
        self._own.connection = None

    def _ask(self, path: str, headers: dict[str, str]) -> Answer:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect()
            self._opened.append(connection)
        connection.request("GET", path, headers={"User-Agent": "airflow-assets-verify", **headers})
        response = connection.getresponse()
        body = response.read()
        joined: dict[str, str] = {}
        for name, value in response.getheaders():
            joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
        return Answer(response.status, joined, body)


def _parse(url: str) -> SplitResult:
    """The parts of a CDN's URL. Raises InvalidPlace."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidPlace(
            f"{url!r} is no URL of a CDN",
            cause="no scheme, credentials, a query or a fragment",
            next_step="give it as in [service] cdn_url: https://cdn.example/airflow",
        )
    return parts
