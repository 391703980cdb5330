"""Tables of a TOML file, read key by key, with all that is wrong gathered."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_document(path: Path, refused: Callable[[str], Exception]) -> dict[str, Any]:
    """The document in a TOML file. Raises what `refused` makes of a message if it cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise refused(f"{path} cannot be read: {error}") from error


class Reader:
    """A table of TOML, of which each key is asked for once; faults are gathered."""

    def __init__(self, table: dict[str, Any], place: str = "", faults: list[str] | None = None) -> None:
        self._left = dict(table)
        self._place = place
        self._readers: list[Reader] = []
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

    def flag(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            self._wrong(key, f"{value!r} is neither true nor false")
            return False
        return value

    def table(self, key: str) -> Reader | None:
        value = self._left.pop(key, None)
        return None if value is None else self._reader(f"{key}.", value)

    def tables(self, key: str) -> list[Reader]:
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

    def _reader(self, place: str, value: Any) -> Reader:
        if not isinstance(value, dict):
            self.faults.append(f"  {place}it is no table")
        made = Reader(value if isinstance(value, dict) else {}, place, self.faults)
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


def matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"is not {allowed}")
        return value

    return parse
