"""Headers that mean something to a program on the way, and the names that an assertion's may have."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_service.gateway.names import HEADER

HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
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
# Those that the configuration sets itself.
_SET = frozenset({"host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"})
# Those of one connection, which no proxy passes on.
_HOPS = frozenset({"connection", "upgrade", "te", "transfer-encoding", "content-length"})
# Those that a browser sends of itself.
_OF_BROWSERS = frozenset({"cookie", "origin", "referer", "content-type", "forwarded"})


def assertion_header(value: str) -> str:
    """The name of a header for assertions; ValueError for what is none, or means something else already."""
    if not HEADER_NAME.fullmatch(value):
        raise ValueError("is not a header's name")
    if value.lower() in _SET | _HOPS | _OF_BROWSERS:
        raise ValueError("is a header with a meaning of its own")
    return value


def stripped(assertion: str, more: Iterable[str]) -> list[str]:
    """The headers that reach no webserver: what can be forged and `more`, but for those that nginx sets."""
    ours = _SET | _HOPS | {assertion.lower()}
    names = {name.lower(): name for name in (*FORGEABLE, *more)}
    return [name for lower, name in names.items() if lower not in ours]
