"""Where the webserver of a gateway listens: where its proxy reaches it, and nobody else."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from airflow_service.errors import Fault, WrongSettings
from airflow_service.gateway.settings import read_gateway
from airflow_service.options import WEBSERVER
from airflow_service.sources import Configuration

_WRONG = (
    "whoever reaches this address can show a leaked assertion past the gateway; "
    "allowed: 127.0.0.1, or a private address that only the gateway's proxy reaches"
)


def check_listening(configuration: Configuration | None = None, hostname: str | None = None) -> None:
    """Raise WrongSettings if the webserver of a gateway would listen where others than its proxy reach it.

    `hostname` is what the command line has in place of the configuration's. A name is taken
    as it is: what it stands for is known where it is looked up.
    """
    configuration = configuration or Configuration.read()
    host = configuration.get(WEBSERVER, "web_server_host")
    if read_gateway(configuration) is None or host is None:
        return
    if hostname is not None and hostname != host.text:
        if _is_open(hostname.strip()):
            raise WrongSettings([Fault(WEBSERVER, "web_server_host", hostname, _WRONG, "--hostname")])
    elif _is_open(host.text.strip()):
        raise WrongSettings([Fault(WEBSERVER, "web_server_host", host.text, _WRONG, host.source)])


def check_own_sockets() -> None:
    """Raise WrongSettings if this process of gunicorn listens so, however it was started.

    For an application that guards itself. Where /proc does not tell a process's files, and
    where gunicorn loads the application before it listens (`--preload`), nothing is found.
    """
    if not os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn/"):
        return
    for host in _own_hosts():
        if _is_open(host):
            raise WrongSettings([Fault(WEBSERVER, "web_server_host", host, _WRONG, "gunicorn's --bind")])


def _own_hosts() -> Iterator[str]:
    """The addresses of this process's TCP sockets that take connections."""
    with suppress(FileNotFoundError):
        for file in Path("/proc/self/fd").iterdir():
            # What is no socket, and the listing's own descriptor, which is gone by now.
            with suppress(OSError), socket.socket(fileno=os.dup(int(file.name))) as one:
                of_internet = one.family in (socket.AF_INET, socket.AF_INET6)
                if of_internet and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield one.getsockname()[0]


def _is_open(host: str) -> bool:
    """Whether a host to listen on is all addresses of the machine, or one of the whole internet."""
    if host in ("", "*"):
        return True
    address: IPv4Address | IPv6Address
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(host))  # "0" is 0.0.0.0 for a socket
        except OSError:
            return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_unspecified or address.is_global
