"""The addresses that a connection's host stands for, as they may be shown to a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

# What a host name or an address is made of; a name in another script is brought to it by IDNA.
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\]")
_UNQUOTED = "/%:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is: `path` is empty, or begins with a slash and does not end with one."""

    origin: str
    path: str

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}"


def read_address(host: str, *, schemes: tuple[str, ...] = ("https", "http")) -> Address:
    """Read what is written as a connection's host: a name, with or without scheme, port and path.

    Without a scheme the first of `schemes` holds. User names, passwords, queries and
    fragments are left out. Raises ValueError, without the text, which may hold a password.
    """
    text = host.strip()
    if "://" not in text:
        text = f"{schemes[0]}://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("the connection's host is no address") from None
    if parts.scheme not in schemes:
        raise ValueError(f"the connection's host begins with none of {', '.join(schemes)}")
    name = _host_name(parts.hostname or "")
    # A path of dots leads elsewhere than it says.
    path = "/".join(step for step in parts.path.split("/") if step not in ("", ".", ".."))
    origin = f"{parts.scheme}://{name}" if port is None else f"{parts.scheme}://{name}:{port}"
    return Address(origin, f"/{quote(path, safe=_UNQUOTED)}" if path else "")


def _host_name(name: str) -> str:
    if ":" in name:
        name = f"[{name}]"
    elif not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            name = ""
    if not _HOST.fullmatch(name):
        raise ValueError("the connection's host is no address")
    return name
