"""The reference gateway's configuration: a TOML file, checked as a whole."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_service.base_url import BaseUrl
from airflow_service.errors import EXIT_CONFIGURATION, ServiceError
from airflow_service.toml_tables import Reader, matching, read_document

_CLUSTER = matching(re.compile(r"[A-Za-z0-9_-]{1,64}"), "1 to 64 of the characters A-Z a-z 0-9 _ and -")
_TEXT = matching(re.compile(r"[^\x00-\x1f\x7f]{1,200}"), "a text of one line")
_HIDDEN = matching(re.compile(r"[\x21-\x7e]{1,500}"), "a text without spaces")
_LISTEN = re.compile(r"(.+):([0-9]{1,5})")


class WrongGateway(ServiceError):
    """A configuration that no gateway is started with; the message holds all faults."""

    exit_code = EXIT_CONFIGURATION


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Airflow: its `[service] cluster_id`, what people call it, and its `base_url`."""

    id: str
    name: str
    url: BaseUrl


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID Connect provider that users may log in at."""

    name: str
    issuer: str
    client_id: str
    client_secret_file: Path
    claim: str
    """The claim of its identity token that is the user's name here."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the configuration says."""

    host: str
    port: int
    url: BaseUrl
    """Where browsers find its pages."""
    state: Path
    """The folder of its database."""
    issuer: str
    clusters: tuple[Cluster, ...]
    provider: Provider | None
    assertion_seconds: int
    session_hours: int
    idle_minutes: int
    key_days: int

    def cluster(self, name: str) -> Cluster | None:
        """The cluster of an id; None if there is no such one."""
        return next((cluster for cluster in self.clusters if cluster.id == name), None)


def read_settings(path: Path) -> Settings:
    """The settings in a TOML file; WrongGateway names all that is wrong, with its place."""
    return parse_settings(read_document(path, WrongGateway), str(path))


def parse_settings(table: dict[str, Any], source: str) -> Settings:
    """The settings of a TOML document that was read from `source`."""
    reader = Reader(table)
    listen = reader.text("listen", _listen, "127.0.0.1:8090")
    url = reader.text("url", _page)
    state = reader.text("state", _folder)
    issuer = reader.text("issuer", _TEXT, "")
    clusters = [_cluster(one) for one in reader.tables("cluster")]
    oidc = reader.table("oidc")
    provider = _provider(oidc) if oidc else None
    seconds = reader.number("assertion_seconds", 60, 10, 600)
    hours = reader.number("session_hours", 12, 1, 24 * 30)
    minutes = reader.number("idle_minutes", 60, 1, 24 * 60)
    days = reader.number("key_days", 30, 1, 365)
    reader.finish()
    ids = [one[0] for one in clusters]
    faults = [*reader.faults, *([] if clusters else ["  cluster: there is none"])]
    faults += [f"  cluster: {name!r} is there twice" for name in dict.fromkeys(ids) if ids.count(name) > 1]
    if faults:
        raise WrongGateway("\n".join([f"{source} is not what a gateway can be started with:", *faults]))
    host, _, port = listen.rpartition(":")
    return Settings(
        host.strip("[]"), int(port), BaseUrl.parse(url), Path(state), issuer or url.rstrip("/"),
        tuple(Cluster(name, title or name, BaseUrl.parse(address)) for name, title, address in clusters),
        provider, seconds, hours, minutes, days,
    )  # fmt: skip


def _cluster(reader: Reader) -> tuple[str, str, str]:
    return reader.text("id", _CLUSTER), reader.text("name", _TEXT, ""), reader.text("url", _page)


def _provider(reader: Reader) -> Provider:
    return Provider(
        name=reader.text("name", _TEXT, "single sign-on"),
        issuer=reader.text("issuer", _page_of_provider),
        client_id=reader.text("client_id", _HIDDEN),
        client_secret_file=Path(reader.text("client_secret_file", _folder)),
        claim=reader.text("claim", _HIDDEN, "email"),
    )


def _listen(value: str) -> str:
    """Only the loopback: what stands in front of it says who the client is."""
    found = _LISTEN.fullmatch(value)
    try:
        if found and 0 < int(found[2]) < 65536 and ipaddress.ip_address(found[1].strip("[]")).is_loopback:
            return value
    except ValueError:
        pass
    raise ValueError("is no address of the loopback and a port, as 127.0.0.1:8090")


def _page(value: str) -> str:
    try:
        BaseUrl.parse(value)
    except ValueError as error:
        raise ValueError(f"is not the URL that browsers show: {error}") from None
    return value


_page_of_provider: Callable[[str], str] = matching(
    re.compile(r"https://[^\s?#@]+|http://(?:127\.0\.0\.1|localhost)(?::[0-9]+)?(?:/[^\s?#@]*)?"),
    "an https URL, or an http one of the loopback",
)


def _folder(value: str) -> str:
    if not Path(value).is_absolute():
        raise ValueError("is no absolute path")
    return value
