"""Take secrets out of what is shown."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import unquote, urlsplit

MASK = "***"
_SECRET_PARAMETER = re.compile(r"(?i)([?&;][^=&;?#]*(?:pass|pwd|secret|token|key)[^=&;?#]*=)[^&;#]*")


def mask_url(url: str) -> str:
    """The URL without its password and without secret-looking parameters.

    It splits at the *last* `@`, because a password with an unquoted `/`, `#` or
    `@`, which is what people get wrong, would show in part if the URL were parsed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    userinfo, at, host = rest.rpartition("@")
    if at:
        user, colon, _ = userinfo.partition(":")
        rest = f"{user}{colon}{MASK if colon else ''}@{host}"
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", f"{scheme}{separator}{rest}")


def scrub(message: str, url: str) -> str:
    """The message without the password of a URL that may be quoted in it."""
    message = message.replace(url, mask_url(url))
    userinfo = url.partition("://")[2].rpartition("@")[0]
    passwords = {userinfo.partition(":")[2]}
    with suppress(ValueError):  # not a URL that Python can parse: the split above has to do
        passwords.add(urlsplit(url).password or "")
    for password in sorted(passwords | {unquote(one) for one in passwords}, key=len, reverse=True):
        if password:
            message = message.replace(password, MASK)
    return message


def credentials_hold(url: str, characters: str) -> bool:
    """Whether user name or password hold one of these, not percent-encoded.

    A driver then takes a part of the password for the host or the port, and
    quotes it in its message, where no mask would find it.
    """
    userinfo = url.partition("://")[2].rpartition("@")[0]
    return any(character in userinfo for character in characters)


def shown(text: str, limit: int = 200) -> str:
    """A value as one line: quoted, control characters escaped, cut when long."""
    return repr(text if len(text) <= limit else text[:limit] + "...")
