"""The webserver's place below a prefix and behind proxies; `airflow/www/app.py` calls it.

Whatever way a request has come, the application sees the URL that the browser
shows: scheme, host and prefix are those of `[webserver] base_url`, and the path
is what follows the prefix. So each `url_for` gives URLs below the prefix.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_service.base_url import BaseUrl
from airflow_service.config import read_service_section, read_webserver_section
from airflow_service.networks import Networks

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Flask

log = logging.getLogger(__name__)

CLIENT_HOST = "airflow_service.client_host"
"""In a WSGI environment, the host that was asked for, in the client's words."""

THROUGH_PROXY = "airflow_service.through_proxy"
"""In a WSGI environment, whether a proxy, any at all, says that it has handed the request on."""

_EXTENSION = "airflow_service.base_url"
# What proxies say of a request. Of a user they have nothing to say: who asks, the assertion tells.
_BELIEVED = frozenset(f"HTTP_X_FORWARDED_{of}" for of in ("FOR", "HOST", "PORT", "PREFIX", "PROTO"))
_FORWARDED = ("HTTP_X_FORWARDED_", "HTTP_FORWARDED")
_OF_PROXIES = (*_FORWARDED, "HTTP_VIA", "HTTP_X_REAL_IP")
_LEADING_SLASHES = re.compile(r"[/\\]+")


def place_behind_proxies(app: Flask) -> None:
    """Give a Flask application the URL of this configuration; raises WrongSettings."""
    base_url = read_webserver_section().settings.base_url
    service = read_service_section().settings
    app.wsgi_app = BehindProxies(app.wsgi_app, base_url, service.trusted_proxies, service.gateway_header)
    # For URLs that are made outside of a request.
    app.config.update(
        SERVER_NAME=base_url.host,
        APPLICATION_ROOT=base_url.prefix or "/",
        PREFERRED_URL_SCHEME=base_url.scheme,
    )
    app.extensions[_EXTENSION] = base_url


def base_url_of(app: Flask) -> BaseUrl:
    """The URL that the application was given."""
    base_url: BaseUrl = app.extensions[_EXTENSION]
    return base_url


@dataclass(frozen=True, slots=True)
class BehindProxies:
    """WSGI middleware: takes the prefix off where the proxy has left it, and believes few headers."""

    app: WSGIApplication
    base_url: BaseUrl
    trusted_proxies: Networks
    assertion_header: str = ""
    """The gateway's, which is signed: it may be one of these, as oauth2-proxy's X-Forwarded-Access-Token."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        peer = environ.get("REMOTE_ADDR", "")
        host = environ.get("HTTP_HOST", "")
        if peer in self.trusted_proxies:
            told = environ.get("HTTP_X_FORWARDED_PREFIX", "")
            if told and told.rstrip("/") != self.base_url.prefix:
                return self._refuse(peer, told, start_response)
            host = environ.get("HTTP_X_FORWARDED_HOST", host)
            environ["REMOTE_ADDR"] = client_address(
                peer, environ.get("HTTP_X_FORWARDED_FOR", ""), self.trusted_proxies
            )
            self._drop_forwarded(environ, _BELIEVED)
        else:
            self._drop_forwarded(environ, frozenset())
        environ[CLIENT_HOST] = host
        self._place(environ)
        return self.app(environ, self._with_own_redirects(start_response))

    def _drop_forwarded(self, environ: WSGIEnvironment, believed: frozenset[str]) -> None:
        """Drop `Forwarded` and every `X-Forwarded-*` but those: a proxy passes on what strangers made up."""
        believed |= {f"HTTP_{self.assertion_header.upper().replace('-', '_')}"}
        told = [name for name in environ if name.startswith(_OF_PROXIES)]
        environ[THROUGH_PROXY] = bool(told)
        for name in told:
            if name not in believed and name.startswith(_FORWARDED):
                del environ[name]

    def _place(self, environ: WSGIEnvironment) -> None:
        # A server that knows the prefix too, or was told some by a header, has split the path.
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        prefix = self.base_url.prefix
        below = path.removeprefix(prefix) if path == prefix or path.startswith(prefix + "/") else path
        name, _, port = self.base_url.host.rpartition(":")
        if not name or port.endswith("]"):
            name, port = self.base_url.host, "443" if self.base_url.scheme == "https" else "80"
        environ.update(
            {
                "SCRIPT_NAME": prefix,
                "PATH_INFO": below or "/",
                "HTTP_HOST": self.base_url.host,
                "SERVER_NAME": name,
                "SERVER_PORT": port,
                "wsgi.url_scheme": self.base_url.scheme,
            }
        )

    def _with_own_redirects(self, start_response: StartResponse) -> StartResponse:
        """Name no host where a redirect stays on it: it then holds for whoever came by another name."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            told = [
                (name, self._without_origin(value) if name.lower() == "location" else value)
                for name, value in headers
            ]
            return start_response(status, told, exc_info)

        return start

    def _without_origin(self, url: str) -> str:
        path = url.removeprefix(self.base_url.origin)
        if path == url or not path.startswith("/"):
            return url
        # A path of two slashes would be read as another host.
        return "/" + _LEADING_SLASHES.sub("", path, count=1)

    def _refuse(self, peer: str, told: str, start_response: StartResponse) -> Iterable[bytes]:
        configured = self.base_url.prefix or "none"
        log.warning(
            "The proxy %s sent X-Forwarded-Prefix %r; the prefix of base_url is %s.", peer, told, configured
        )
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response("400 Bad Request", headers)
        return [
            b"The proxy's X-Forwarded-Prefix is not the path of [webserver] base_url.\n"
            b"Let base_url be what the browser shows, or let the proxy send no such header.\n"
        ]


def client_address(peer: str, forwarded_for: str, trusted: Networks) -> str:
    """The last address that no trusted proxy vouches for, from X-Forwarded-For.

    What stands left of it was written by the client, and may be made up.
    """
    address = peer
    for hop in reversed(forwarded_for.split(",")):
        if address not in trusted or not hop.strip():
            break
        address = hop.strip()
    return address
