"""Redirect targets, good and bad, and how a browser reads them (the URL standard, url.spec.whatwg.org)."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

# Each has tricked some check of some release into sending the browser to evil.example or into a script.
EVIL = (
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "http://evil.example",
    "https://evil.example/airflow-1/",
    "http:///evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "http:evil.example",
    "HtTpS://evil.example",
    " https://evil.example",
    "\thttps://evil.example",
    "ht\ntps://evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\x00//evil.example",
    "\x01https://evil.example",
    "/\x00/evil.example",
    "\u2028//evil.example",
    "\ufeff//evil.example",
    "\uff0f\uff0fevil.example",
    "/\uff0fevil.example",
    "https:\uff0f\uff0fevil.example",
    "https://evil\u3002example",
    "//\u24d4vil.example",
    "\u3000//evil.example",
    "evil.example",
    "@evil.example",
    "?//evil.example",
    "#//evil.example",
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    " javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//{host}@evil.example",
    "https://{host}@evil.example/airflow-1/",
    "https://{host}:x@evil.example/airflow-1/",
    "https://{host}.evil.example/airflow-1/",
    "https://{host}\\@evil.example/airflow-1/",
    "https://evil.example\\@{host}/airflow-1/",
    "https://evil.example#@{host}/airflow-1/",
    "https://evil.example?@{host}/airflow-1/",
    "{prefix}/\r\nSet-Cookie: a=b",
    "{prefix}/\r\n\r\n<script>alert(1)</script>",
    "{prefix}/\x7f",
    "{prefix}\\..\\airflow-2/",
    "{prefix}/../airflow-2/",
    "{prefix}/..",
    "{prefix}/%2e%2e/airflow-2/",
    "{prefix}/.%2E/airflow-2/",
    "{prefix}/..%2fairflow-2/",
    "{prefix}/..%5cairflow-2/",
    "{prefix}/x/../../airflow-2/",
    "{prefix}//evil.example",
    "{prefix}/%2f/evil.example",
    "{prefix}/\u2025/airflow-2/",
    "{prefix}/\uff0e\uff0e\uff0fairflow-2/",
    "{prefix}/%EF%BC%8Fevil.example",
    "https://{host}",
    "https://{host}:444{prefix}/",
)

# On the same host, but another cluster's, or nobody's: evil where there is a prefix.
FOREIGN = (
    "/",
    "/airflow-2/",
    "/airflow-1x/admin/",
    "/admin/",
    "https://{host}/airflow-2/",
    "https://{host}/",
)

GOOD = {
    "{prefix}/admin/": "{prefix}/admin/",
    "{prefix}/": "{prefix}/",
    "{origin}{prefix}/admin/": "{prefix}/admin/",
    "{prefix}/admin/airflow/graph?dag_id=a&root=b%2Fc": "{prefix}/admin/airflow/graph?dag_id=a&root=b%2Fc",
    "{prefix}/admin/pool/?search=//evil.example&page=1": "{prefix}/admin/pool/?search=//evil.example&page=1",
    "{prefix}/admin/#top": "{prefix}/admin/",
    "{origin}{prefix}/admin/?a=b#c": "{prefix}/admin/?a=b",
    "{prefix}/admin/?d=2026-01-01T00:00:00+00:00": "{prefix}/admin/?d=2026-01-01T00:00:00+00:00",
    # What ends a string, a tag or a header is escaped.
    "{prefix}/admin/?a=';alert(1)//": "{prefix}/admin/?a=%27%3Balert%281%29//",
    '{prefix}/admin/?a="><script>': "{prefix}/admin/?a=%22%3E%3Cscript%3E",
    "{prefix}/admin/?a=b c\\d": "{prefix}/admin/?a=b%20c%5Cd",
    "{prefix}/admin/\u00e9?\u00e9": "{prefix}/admin/%C3%A9?%C3%A9",
}

_SPECIAL = {"http", "https", "ws", "wss", "ftp"}
_UP, _STAY = {"..", ".%2e", "%2e.", "%2e%2e"}, {".", "%2e"}


def as_browser(text: str, scheme: str, host: str, path: str) -> tuple[str, str, str]:
    """Scheme, host and path of the page that a link leads to, from a page at the one given."""
    text = text.strip("".join(map(chr, range(0x21)))).translate({9: None, 10: None, 13: None})
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if found:
        own, rest = found[1].lower(), text[found.end() :]
        if own not in _SPECIAL:
            return own, "", rest
        if own != scheme or rest.startswith("//"):
            return own, *_authority(rest)
        text = rest
    text = text.replace("\\", "/") if "?" not in text else _slashes_before_query(text)
    if text.startswith("//"):
        return scheme, *_authority(text)
    before_query = re.split(r"[?#]", text)[0]
    if before_query.startswith("/"):
        return scheme, host, _path(before_query)
    if not before_query:
        return scheme, host, path
    return scheme, host, _path(path.rpartition("/")[0] + "/" + before_query)


def _slashes_before_query(text: str) -> str:
    before, mark, query = text.partition("?")
    return before.replace("\\", "/") + mark + query


def _authority(rest: str) -> tuple[str, str]:
    rest = re.split(r"[?#]", rest.lstrip("/\\"))[0].replace("\\", "/")
    authority, slash, path = rest.partition("/")
    host = unicodedata.normalize("NFKC", unquote(authority.rpartition("@")[2])).lower()
    return host.replace("\u3002", "."), _path(slash + path)


def _path(path: str) -> str:
    steps: list[str] = []
    for step in path.removeprefix("/").split("/"):
        if step.lower() in _UP:
            steps = steps[:-1]
        elif step.lower() not in _STAY:
            steps.append(step)
    return "/" + "/".join(steps)
