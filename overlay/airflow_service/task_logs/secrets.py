"""Secrets that this process has read, and taking them out of the lines that it logs.

A task reads a password from a connection, and a library that fails quotes it. What was
read is known here (upstream's get_connections and get_variable say it), and is masked as
each line is written. A value that nobody read through Airflow cannot be known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from airflow_service.masking import MASK

SHORTEST = 5
"""Characters; to mask shorter ones would tear ordinary words."""
_MOST = 2000
# Beyond, one pattern is faster than a look for each.
_FEW = 24
# Also the words that upstream hides variables by.
_SENSITIVE = re.compile(
    r"pass|pwd|secret|token|key|credential|authorization|private|passphrase|sas_|account_key", re.I
)
_HARMLESS = frozenset({"airflow", "false", "true", "none", "null", "default", MASK})
# A public name, which says who, not what opens the door.
_NAMES = re.compile(
    r"(?:key|token)_?(?:id|path|file|name|type|url|uri)$|(?:^|_)region|keyfile_path|key_?id$", re.I
)

_forms: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def is_sensitive(name: str) -> bool:
    """Whether a variable or an extra of this name holds a secret."""
    return bool(_SENSITIVE.search(name)) and not _NAMES.search(name)


def remember(*values: str | None) -> None:
    """Mask these from now on, in this process and those that it forks."""
    global _pattern
    before = len(_forms)
    for value in values:
        for form in _forms_of(value or ""):
            if len(_forms) < _MOST:
                _forms[form] = None
    if len(_forms) != before:
        # The longest first: another may begin with the same characters.
        ordered = sorted(_forms, key=len, reverse=True)
        _forms.clear()
        _forms.update(dict.fromkeys(ordered))
        _pattern = re.compile("|".join(map(re.escape, ordered)))


def remember_connections(connections: Iterable[Any]) -> None:
    """Mask the passwords and secret extras of Airflow Connections. Raises nothing."""
    for connection in connections:
        try:
            remember(connection.password)
            remember(*_values(connection.extra_dejson))
        except Exception:  # a connection that cannot be decrypted fails where it is used, with its reason
            continue


def remember_variable(name: str, value: str | None) -> None:
    """Mask a variable's value, if its name says that it is secret. Raises nothing."""
    try:
        if value and is_sensitive(name):
            remember(value)
            remember(*_texts(json.loads(value)) if value.lstrip()[:1] in ("{", "[") else ())
    except (ValueError, RecursionError, AttributeError, TypeError):
        return


def masked(line: str) -> str:
    """The line without the secrets that are known."""
    pattern = _pattern
    if pattern is None:
        return line
    if len(_forms) <= _FEW:
        for form in _forms:
            if form in line:
                break
        else:
            return line
    return pattern.sub(MASK, line)


def forget() -> None:
    """For tests: nothing is known."""
    global _pattern
    _forms.clear()
    _pattern = None


def _forms_of(value: str) -> Iterator[str]:
    """A value as it may appear: itself, its lines, quoted in a URL, escaped in JSON or Python."""
    # A key of many lines is logged line by line.
    for one in {value, *value.splitlines()}:
        text = one.strip()
        if len(text) < SHORTEST or text.lower() in _HARMLESS or text.startswith("-----"):
            continue
        yield from dict.fromkeys(
            (
                text,
                quote(text, safe=""),
                quote(text),
                quote_plus(text),
                json.dumps(text)[1:-1],
                repr(text)[1:-1],
            )
        )


def _values(extra: Any, depth: int = 0) -> Iterator[str]:
    """The texts below sensitive names."""
    if depth < 6 and isinstance(extra, dict):
        for name, value in extra.items():
            if is_sensitive(str(name)):
                yield from _texts(value)
            else:
                yield from _values(value, depth + 1)
    elif depth < 6 and isinstance(extra, list):
        for value in extra:
            yield from _values(value, depth + 1)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < 6 and isinstance(value, dict):
        for below in value.values():
            yield from _texts(below, depth + 1)
    elif depth < 6 and isinstance(value, list):
        for below in value:
            yield from _texts(below, depth + 1)
