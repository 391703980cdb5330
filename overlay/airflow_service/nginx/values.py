"""The values that an nginx configuration is made from: a TOML file, checked as a whole."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from airflow_service.base_url import check_prefix
from airflow_service.errors import EXIT_CONFIGURATION, ServiceError

T = TypeVar("T")
# The segments of a prefix: what no program between browser and webserver writes another way.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_ADDRESS = re.compile(rf"({_HOST}|\*):([0-9]{{1,5}})")
_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[km]")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
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
class Cluster:
    """One Airflow: its prefix ("" at the root) and where its services listen, as host:port."""

    prefix: str
    webserver: tuple[str, ...]
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
    client_timeout_seconds: int = 20
    trusted_proxies: tuple[str, ...] = ()
    assertion_header: str = ""
    strip_headers: tuple[str, ...] = ()


def read_values(path: Path) -> Values:
    """The values in a TOML file; WrongValues names all that is wrong, with its place."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongValues(f"{path} cannot be read: {error}") from error
    return parse_values(table, str(path))


def parse_values(table: dict[str, Any], source: str) -> Values:
    """The values of a TOML document that was read from `source`."""
    reader = _Reader(table)
    tls = reader.table("tls")
    values = Values(
        listen=reader.texts("listen", _address, needed=True),
        clusters=tuple(_cluster(one) for one in reader.tables("cluster")),
        names=reader.texts("names", _matching(_NAME, "a host name, or *. and a host name")),
        tls=_tls(tls) if tls else None,
        max_body=reader.text("max_body", _matching(_SIZE, "a number and k or m, as 10m"), "10m"),
        client_timeout_seconds=reader.number("client_timeout_seconds", 20, 1, 600),
        trusted_proxies=reader.texts("trusted_proxies", _network),
        assertion_header=reader.text("assertion_header", _matching(_HEADER, "a header's name"), ""),
        strip_headers=reader.texts("strip_headers", _matching(_HEADER, "a header's name")),
    )
    reader.finish()
    faults = [*reader.faults, *_contradictions(values)]
    if faults:
        raise WrongValues("\n".join([f"{source} is not what a configuration can be made from:", *faults]))
    return values


def _tls(reader: _Reader) -> TLS:
    return TLS(
        certificate=reader.text("certificate", _file),
        key=reader.text("key", _file),
        hsts_seconds=reader.number("hsts_seconds", 0, 0, 63_072_000),
    )


def _cluster(reader: _Reader) -> Cluster:
    return Cluster(
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
    if values.assertion_header and not values.trusted_proxies:
        faults.append("  assertion_header: nobody may set it, for trusted_proxies is empty")
    return faults


class _Reader:
    """A table of TOML, of which each key is asked for once; faults are gathered."""

    def __init__(self, table: dict[str, Any], place: str = "", faults: list[str] | None = None) -> None:
        self._left = dict(table)
        self._place = place
        self._readers: list[_Reader] = []
        self.faults: list[str] = [] if faults is None else faults

    def text(self, key: str, parse: Callable[[str], str], default: str | None = None) -> str:
        value = self._left.pop(key, default)
        if value is None:
            self._wrong(key, "it is missing")
        elif not isinstance(value, str):
            self._wrong(key, f"{value!r} is no text")
        elif value != default:
            return self._parsed(key, parse, value)
        return default or ""

    def texts(self, key: str, parse: Callable[[str], str], *, needed: bool = False) -> tuple[str, ...]:
        values = self._left.pop(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self._wrong(key, "it is no list of texts")
            return ()
        if needed and not values:
            self._wrong(key, "it is missing or empty")
        if len(set(values)) < len(values):
            self._wrong(key, "it has an entry twice")
        return tuple(self._parsed(key, parse, value) for value in values)

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._left.pop(key, default)
        if type(value) is not int or not least <= value <= most:
            self._wrong(key, f"{value!r} is no whole number from {least} to {most}")
            return default
        return value

    def table(self, key: str) -> _Reader | None:
        value = self._left.pop(key, None)
        return None if value is None else self._reader(f"{key}.", value)

    def tables(self, key: str) -> list[_Reader]:
        values = self._left.pop(key, [])
        if not isinstance(values, list):
            self._wrong(key, f"it is no list of tables: write [[{key}]]")
            return []
        return [self._reader(f"{key} {number}: ", value) for number, value in enumerate(values, 1)]

    def finish(self) -> None:
        """Note each key that nobody asked for."""
        for reader in (self, *self._readers):
            for key in reader._left:
                reader._wrong(key, "there is no such key")

    def _reader(self, place: str, value: Any) -> _Reader:
        if not isinstance(value, dict):
            self.faults.append(f"  {place}it is no table")
        made = _Reader(value if isinstance(value, dict) else {}, place, self.faults)
        self._readers.append(made)
        return made

    def _parsed(self, key: str, parse: Callable[[str], str], value: str) -> str:
        try:
            return parse(value)
        except ValueError as error:
            self._wrong(key, f"{value!r} {error}")
            return value

    def _wrong(self, key: str, wrong: str) -> None:
        self.faults.append(f"  {self._place}{key}: {wrong}")


def _matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"is not {allowed}")
        return value

    return parse


def _prefix(value: str) -> str:
    """A prefix without a slash at its end; "" for the root."""
    if value in ("", "/"):
        return ""
    prefix = value.removesuffix("/")
    if not _PREFIX.fullmatch(prefix) or any(step in (".", "..") for step in prefix.split("/")):
        raise ValueError("is no path as /airflow-1, of the characters A-Z a-z 0-9 . _ ~ - and /")
    if prefix == "/nginx-health":
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
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"is no network, as 10.0.0.0/8: {error}") from None


def _file(value: str) -> str:
    if not _FILE.fullmatch(value):
        raise ValueError("is no absolute path without spaces and quotes")
    return value
