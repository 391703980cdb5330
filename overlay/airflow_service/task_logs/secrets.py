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
from airflow_service.task_logs.needles import Index

SHORTEST = 5
"""Characters; to mask shorter ones would tear ordinary words."""
_MOST = 2000
# Also the words that upstream hides variables by.
_SENSITIVE = re.compile(
    r"pass|pwd|secret|token|key|credential|authorization|private|passphrase|sas_|account_key", re.I
)
_HARMLESS = frozenset({"airflow", "false", "true", "none", "null", "default", MASK})
# A public name, which says who, not what opens the door.
_NAMES = re.compile(
    r"(?:key|token)_?(?:id|path|file|name|type|url|uri)$|(?:^|_)region(?:_name)?$|keyfile_path|key_?id$", re.I
)

_forms: dict[str, None] = {}
"""What is masked, the oldest first."""
_index: Index | None = None
"""Made of the forms when a line is masked; None when there are others since."""


def is_sensitive(name: str) -> bool:
    """Whether a variable or an extra of this name holds a secret."""
    return bool(_SENSITIVE.search(name)) and not _NAMES.search(name)


def remember(*values: str | None) -> None:
    """Mask these from now on, in this process and those that it forks. The oldest of too many are given up."""
    global _index
    for value in values:
        for form in _forms_of(value or ""):
            if form not in _forms:
                _index = None
            # What is read again is young again.
            _forms.pop(form, None)
            _forms[form] = None
    for form in list(_forms)[:-_MOST]:
        _forms.pop(form, None)


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
    global _index
    index = _index
    if index is None:
        if not _forms:
            return line
        index = _index = Index.of(list(_forms))
    return index.masked(line)


def forget() -> None:
    """For tests: nothing is known."""
    global _index
    _forms.clear()
    _index = None


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
    elif isinstance(value, int) and not isinstance(value, bool):
        # A PIN; shorter ones stay, as short texts do.
        yield str(value)
    elif depth < 6 and isinstance(value, dict):
        for below in value.values():
            yield from _texts(below, depth + 1)
    elif depth < 6 and isinstance(value, list):
        for below in value:
            yield from _texts(below, depth + 1)
