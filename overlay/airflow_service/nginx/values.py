"""The values that an nginx configuration is made from: a TOML file, checked as a whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_service.base_url import check_prefix
from airflow_service.errors import EXIT_CONFIGURATION, ServiceError
from airflow_service.gateway.names import COOKIE, HEADER, SECURE_COOKIE
from airflow_service.networks import read_network
from airflow_service.nginx.headers import HEADER_NAME, assertion_header
from airflow_service.toml_tables import Reader, matching, read_document

# The segments of a prefix: what no program between browser and webserver writes another way.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_ADDRESS = re.compile(rf"({_HOST}|\*):([0-9]{{1,5}})")
_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[km]")
_COOKIE = re.compile(r"[A-Za-z0-9_-]+")
_CLUSTER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LOGIN = re.compile(rf"(?:https?://{_HOST}(?::[0-9]{{1,5}})?)?(?:/[A-Za-z0-9._~-]+)*/?")
_PARAMETER = re.compile(r"[A-Za-z0-9_-]+")
COOKIES = (COOKIE, SECURE_COOKIE)
"""Those of the reference gateway."""
# A path that needs no quoting in nginx's language.
_FILE = re.compile(r"/[A-Za-z0-9._/@+-]+")


class WrongValues(ServiceError):
    """Values that no configuration is rendered from; the message holds all faults."""

    exit_code = EXIT_CONFIGURATION


@dataclass(frozen=True, slots=True)
class TLS:
    """The files of a certificate (with its chain) and its key.

    For `hsts_seconds`, if they are not 0, browsers ask for this host over TLS alone.
    """

    certificate: str
    key: str
    hsts_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Gateway:
    """The control plane: whom nginx asks before each request, and how."""

    address: tuple[str, ...]
    """Where it listens, as host:port."""
    auth: str = "/auth"
    """What is asked there; 2xx lets a request pass, 401 and 403 do not."""
    prefix: str = ""
    """The path of its pages, which go through this nginx, too; "" if they do not."""
    login: str = ""
    """Where a browser is sent to log in: a path of this nginx, or a URL."""
    logout: str = ""
    """Where a browser goes to log out, alike; "" leaves that to Airflow, which cannot end a session there."""
    return_parameter: str = "next"
    """The query's name for where the browser came from."""
    assertion: str = HEADER
    """The header of its answer that holds the assertion."""
    cookies: tuple[str, ...] = COOKIES
    """The names of its cookies, which no webserver gets."""
    knows_roles: bool = False
    """Whether it answers for the cluster and the least role that it is asked for, not only for a login."""
    keepalive_seconds: int = 1


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Airflow: its prefix ("" at the root) and where its services listen, as host:port."""

    prefix: str
    webserver: tuple[str, ...]
    id: str = ""
    """Its `[service] cluster_id`, by which the gateway knows it."""
    flower: tuple[str, ...] = ()
    keepalive_seconds: int = 1
    read_timeout_seconds: int = 120


@dataclass(frozen=True, slots=True)
class Values:
    """All that a configuration says."""

    listen: tuple[str, ...]
    clusters: tuple[Cluster, ...]
    names: tuple[str, ...] = ()
    tls: TLS | None = None
    max_body: str = "10m"
    access_log: str = ""
    """Where accesses are logged, with the host; "" leaves that to nginx's own configuration."""
    client_timeout_seconds: int = 20
    trusted_proxies: tuple[str, ...] = ()
    assertion_header: str = ""
    strip_headers: tuple[str, ...] = ()
    gateway: Gateway | None = None


def read_values(path: Path) -> Values:
    """The values in a TOML file; WrongValues names all that is wrong, with its place."""
    return parse_values(read_document(path, WrongValues), str(path))


def parse_values(table: dict[str, Any], source: str) -> Values:
    """The values of a TOML document that was read from `source`."""
    reader = Reader(table)
    tls, gateway = reader.table("tls"), reader.table("gateway")
    header = HEADER if gateway else ""
    values = Values(
        listen=reader.texts("listen", _address, needed=True),
        clusters=tuple(_cluster(one) for one in reader.tables("cluster")),
        names=reader.texts("names", matching(_NAME, "a host name, or *. and a host name")),
        tls=_tls(tls) if tls else None,
        access_log=reader.text("access_log", _file, ""),
        max_body=reader.text("max_body", matching(_SIZE, "a number and k or m, as 10m"), "10m"),
        client_timeout_seconds=reader.number("client_timeout_seconds", 20, 1, 600),
        trusted_proxies=reader.texts("trusted_proxies", _network),
        assertion_header=reader.text("assertion_header", assertion_header, header),
        strip_headers=reader.texts("strip_headers", matching(HEADER_NAME, "a header's name")),
        gateway=_gateway(gateway) if gateway else None,
    )
    reader.finish()
    faults = [*reader.faults, *_contradictions(values)]
    if faults:
        raise WrongValues("\n".join([f"{source} is not what a configuration can be made from:", *faults]))
    return values


def _tls(reader: Reader) -> TLS:
    return TLS(
        certificate=reader.text("certificate", _file),
        key=reader.text("key", _file),
        hsts_seconds=reader.number("hsts_seconds", 0, 0, 63_072_000),
    )


def _gateway(reader: Reader) -> Gateway:
    prefix = reader.text("prefix", _prefix, "")
    page = matching(_LOGIN, "a plain path or web URL")
    return Gateway(
        address=reader.texts("address", _address, needed=True),
        auth=reader.text("auth", _prefix, "/auth"),
        prefix=prefix,
        login=reader.text("login", page, f"{prefix}/login" if prefix else None),
        logout=reader.text("logout", page, f"{prefix}/logout" if prefix else ""),
        return_parameter=reader.text("return_parameter", matching(_PARAMETER, "a query's name"), "next"),
        assertion=reader.text("assertion", assertion_header, HEADER),
        cookies=reader.texts("cookies", matching(_COOKIE, "a cookie's name")) or COOKIES,
        knows_roles=reader.flag("knows_roles"),
        keepalive_seconds=reader.number("keepalive_seconds", 1, 0, 3600),
    )


def _cluster(reader: Reader) -> Cluster:
    return Cluster(
        id=reader.text("id", matching(_CLUSTER, "1 to 64 of the characters A-Z a-z 0-9 _ and -"), ""),
        prefix=reader.text("prefix", _prefix),
        webserver=reader.texts("webserver", _address, needed=True),
        flower=reader.texts("flower", _address),
        keepalive_seconds=reader.number("keepalive_seconds", 1, 0, 3600),
        read_timeout_seconds=reader.number("read_timeout_seconds", 120, 1, 3600),
    )


def _contradictions(values: Values) -> list[str]:
    faults = [] if values.clusters else ["  cluster: there is none"]
    prefixes = [cluster.prefix for cluster in values.clusters]
    for index, prefix in enumerate(prefixes):
        for other in prefixes[:index]:
            if prefix == other:
                faults.append(f"  cluster {index + 1}: another one has the prefix {prefix or '/'!r}, too")
            elif f"{prefix}/".startswith(f"{other}/") or f"{other}/".startswith(f"{prefix}/"):
                faults.append(
                    f"  cluster {index + 1}: {prefix or '/'!r} and {other or '/'!r} lie in one another"
                )
    if values.gateway is not None:
        faults += _contradictions_of_gateway(values, values.gateway)
    elif values.assertion_header and not values.trusted_proxies:
        faults.append(
            "  assertion_header: nobody may set it, for trusted_proxies is empty, and there is no gateway"
        )
    return faults


def _contradictions_of_gateway(values: Values, gateway: Gateway) -> list[str]:
    faults = []
    ids = [cluster.id for cluster in values.clusters]
    for number, cluster in enumerate(values.clusters, 1):
        if not cluster.id:
            faults.append(
                f"  cluster {number}: id: it is missing, and the gateway has to know which cluster it is"
            )
        elif ids.index(cluster.id) < number - 1:
            faults.append(f"  cluster {number}: another one has the id {cluster.id!r}, too")
        if cluster.flower and not gateway.knows_roles:
            faults.append(
                f"  cluster {number}: flower: it would be open to whoever is logged in; it needs a control"
                " plane that decides by `cluster` and `least`, and [gateway] knows_roles = true to say so"
            )
        mine, its = f"{gateway.prefix}/", f"{cluster.prefix}/"
        if gateway.prefix and cluster.prefix and (mine.startswith(its) or its.startswith(mine)):
            faults.append(
                f"  cluster {number}: {cluster.prefix!r} and the gateway's {gateway.prefix!r} lie in one another"
            )
    return faults


def _prefix(value: str) -> str:
    """A prefix without a slash at its end; "" for the root."""
    if value in ("", "/"):
        return ""
    prefix = value.removesuffix("/")
    if not _PREFIX.fullmatch(prefix) or any(step in (".", "..") for step in prefix.split("/")):
        raise ValueError("is no path as /airflow-1, of the characters A-Z a-z 0-9 . _ ~ - and /")
    if prefix.split("/")[1] in ("nginx-health", "nginx-gateway"):
        raise ValueError("is nginx's own")
    try:
        check_prefix(prefix)
    except ValueError as error:
        raise ValueError(f"can be no path of a base_url: {error}") from None
    return prefix


def _address(value: str) -> str:
    found = _ADDRESS.fullmatch(value)
    if not found or not 0 < int(found[2]) < 65536:
        raise ValueError("is not host:port")
    return value


def _network(value: str) -> str:
    try:
        return str(read_network(value))
    except ValueError as error:
        raise ValueError(f"is no network, as 10.0.0.0/8: {error}") from None


def _file(value: str) -> str:
    if not _FILE.fullmatch(value):
        raise ValueError("is no absolute path without spaces and quotes")
    return value
