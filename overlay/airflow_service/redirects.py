"""Where a request may send the browser: to this webserver's own pages, below its prefix.

Browsers do not read URLs as `urllib` does: they take `\\` for `/`, drop tabs and
line breaks, strip control characters, and read `https:evil` as a path or as a
host, depending on the page. So nothing is parsed and compared: what is taken must
be spelled as one of two plain forms, and what is handed out is a path.
"""

from __future__ import annotations

import re
from unicodedata import normalize
from urllib.parse import quote, unquote

from airflow_service.base_url import BaseUrl
from airflow_service.prefix import CLIENT_HOST, base_url_of

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_FORM = re.compile(r"(?:(https?)://([^/?#\\@]+))?(/[^?#\\]*)(?:\?([^#]*))?(?:#.*)?", re.IGNORECASE)
# Neither of these can end a string in a script, an attribute or a header.
_PATH_CHARACTERS = "/%:@!$&*+,=~"
_QUERY_CHARACTERS = _PATH_CHARACTERS + "?"


def safe_path(target: str | None, base_url: BaseUrl, *hosts: str) -> str | None:
    """The path and query of a target that lies below the prefix; else None.

    A target is a path from the host's root, or a URL of base_url's scheme and host,
    or of one of `hosts`. The result holds ASCII without quotes, brackets, spaces and
    semicolons, begins with the prefix, and has no fragment.
    """
    if not target or _CONTROL.search(target):
        return None
    form = _FORM.fullmatch(target)
    if form is None:
        return None
    scheme, host, path, query = form.groups()
    if host is not None:
        origin = f"{scheme}://{host}".lower()
        if origin != base_url.origin and host.lower() not in map(str.lower, hosts):
            return None
    if not (path == base_url.prefix or path.startswith(base_url.prefix + "/")) or not _is_plain(path):
        return None
    try:
        path = quote(path, safe=_PATH_CHARACTERS)
        return path if query is None else f"{path}?{quote(query, safe=_QUERY_CHARACTERS)}"
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def safe_url(target: str | None) -> str:
    """What a view may redirect to: the target if it is the webserver's own, else the index.

    Reads the current request. Views call it for `origin` and for the Referer, the
    login pages for `next`.
    """
    from flask import current_app, request, url_for

    # The client's own name for this host is no risk, because the result names no host.
    own = safe_path(target, base_url_of(current_app), request.environ.get(CLIENT_HOST, ""))
    return own if own is not None else url_for("admin.index")


def guard_flask_admin() -> None:
    """Let Flask-Admin judge `url` by the same rule; its own takes another cluster's pages for safe."""
    from flask import current_app
    from flask_admin import helpers

    if not callable(getattr(helpers, "is_safe_url", None)):
        raise AttributeError("flask_admin.helpers has no is_safe_url any more: see airflow_service.redirects")
    helpers.is_safe_url = lambda target: safe_path(target, base_url_of(current_app)) is not None


def _is_plain(path: str) -> bool:
    """Whether no program on the way takes a step of the path for a step up, or for a host."""
    # Some also fold what Unicode has in the width of Chinese characters: a slash, a dot.
    decoded = normalize("NFKC", unquote(path)).replace("\\", "/")
    return "//" not in decoded and not {".", ".."} & set(decoded.split("/"))
