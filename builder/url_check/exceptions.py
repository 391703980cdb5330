"""Written exceptions: data of a release, each with its reason."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.errors import HandWrittenUrl
from builder.url_check.texts import Written

FILE_NAME = "url-exceptions.toml"
_KEYS = ("file", "text", "reason")
_TIMES = "times"


@dataclass(frozen=True, slots=True)
class Exemption:
    """A text that one file may have, as the check shows it, so many times, and why."""

    file: str
    text: str
    reason: str
    times: int = 1

    def covers(self, written: Written) -> bool:
        return (self.file, self.text) == (written.file, written.text)


def load_exceptions(path: Path) -> list[Exemption]:
    """The exceptions of a release; none if it has no such file. Raises HandWrittenUrl with all faults."""
    if not path.exists():
        return []
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HandWrittenUrl(f"cannot read {path.name}: {error}") from error
    faults = [f"{key}: no such key" for key in sorted(document.keys() - {"exception"})]
    entries = document.get("exception", [])
    if not isinstance(entries, list):
        faults, entries = [*faults, "exception: must be tables, [[exception]]"], []
    found: list[Exemption] = []
    for number, entry in enumerate(entries):
        values = [entry.get(key) if isinstance(entry, dict) else None for key in _KEYS]
        where = f"exception[{number}]"
        faults += [
            f"{where}.{key}: must be text"
            for key, value in zip(_KEYS, values, strict=True)
            if not isinstance(value, str) or not value.strip()
        ]
        if isinstance(entry, dict):
            faults += [f"{where}.{key}: no such key" for key in sorted(entry.keys() - {*_KEYS, _TIMES})]
        times = entry.get(_TIMES, 1) if isinstance(entry, dict) else 1
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            faults, times = [*faults, f"{where}.{_TIMES}: must be a whole number from 1"], 1
        file, text, reason = map(str, values)
        exemption = Exemption(file, text, reason, times)
        if any((exemption.file, exemption.text) == (other.file, other.text) for other in found):
            faults.append(f"{where}: {exemption.file} and {exemption.text!r} are there twice")
        found.append(exemption)
    if faults:
        raise HandWrittenUrl(f"faults in {path.name}", detail="\n".join(faults))
    return found


def uncovered(exemptions: Sequence[Exemption], found: Sequence[Written]) -> list[Written]:
    """What no exception covers; where a text is there more often than its exception says, all of them."""
    covered: set[Written] = set()
    for exemption in exemptions:
        those = [each for each in found if exemption.covers(each)]
        if len(those) <= exemption.times:
            covered.update(those)
    return [each for each in found if each not in covered]


def unused(exemptions: Sequence[Exemption], found: Sequence[Written]) -> list[Exemption]:
    """Those that cover nothing any more."""
    return [exemption for exemption in exemptions if not any(exemption.covers(each) for each in found)]
