"""Render nginx's configuration."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airflow_service.gateway.names import HEADER
from airflow_service.nginx.values import Values, WrongValues

# What some program between a browser and the webserver takes for the truth about a request, or for
# who sends it. nginx drops their look-alikes with underscores by itself.
FORGEABLE = (
    "Forwarded",
    "X-Forwarded-By",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Id-Token",
    "X-Forwarded-Method",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Forwarded-Access-Token",
    "X-Original-Uri",
    "X-Original-Url",
    "X-Rewrite-Url",
    "X-Script-Name",
    "Script-Name",
    "Path-Info",
    "X-Real-Ip",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "X-Http-Method-Override",
    "X-Remote-User",
    "Remote-User",
    "X-User",
    "Proxy",
    "Http2-Settings",
    # The assertions of gateways, and what they say of a user without a signature.
    HEADER,
    "X-Amzn-Oidc-Accesstoken",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-User",
    "X-Goog-Authenticated-User-Email",
    "X-Goog-Authenticated-User-Id",
    "X-Goog-Iap-Jwt-Assertion",
    "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "X-Pomerium-Assertion",
    "X-Pomerium-Jwt-Assertion",
)
_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
# So many cookies of the gateway are taken out of a request; if there are more, all are.
_COOKIE_PASSES = 4
# Those that the configuration sets itself.
_SET = frozenset({"host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"})
_HOPS = frozenset({"connection", "upgrade", "te", "transfer-encoding", "content-length"})


def render(values: Values) -> str:
    """A file for nginx's `http` context, such as one in `/etc/nginx/conf.d`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # values hold nothing that nginx reads as syntax
    )
    return environment.get_template("airflow.conf.jinja").render(
        values=values,
        stripped=stripped(values),
        ciphers=_CIPHERS,
        secure=" ssl" if values.tls else "",
        cookie_passes=range(1, _COOKIE_PASSES + 1),
    )


def write(path: Path, text: str) -> None:
    """Put a file in place at once, for everyone to read: nginx may be reloaded at any time."""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise WrongValues(f"{path} cannot be written: {error}") from error


def stripped(values: Values) -> list[str]:
    """The headers that reach no webserver."""
    ours = _SET | _HOPS | {values.assertion_header.lower()}
    names = {name.lower(): name for name in (*FORGEABLE, *values.strip_headers)}
    return [name for lower, name in names.items() if lower not in ours]
