"""Third-party JavaScript and CSS in the wheel and the bundle, for the SBOM.

What a line's libraries.toml says is held against the files: a library whose file
no longer says that version, or a script that belongs to no library, fails.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.asset_rules import Pattern, Rules
from builder.assets import AssetSource
from builder.errors import AssetError

_SCRIPTS_AND_STYLES = (".js", ".mjs", ".css")
# The wheel carries all of this source's files; of the others, what is in the bundle counts.
_WHOLE_SOURCES = ("static",)
_PURL = re.compile(r"pkg:[a-z]+/[^@\s]+@\S+")


@dataclass(frozen=True, slots=True)
class Library:
    """One library, as the files of the release have it.

    `bundled` says whether any of its files is in the bundle; without, it is in
    the wheel only. `stated_by` is empty if a file itself says the version.
    """

    name: str
    version: str
    licence: str
    purl: str
    files: tuple[str, ...]
    bundled: bool
    stated_by: str = ""


@dataclass(frozen=True, slots=True)
class _Claim:
    name: str
    version: str
    licence: str
    purl: str
    stated_by: str
    marks: dict[str, str]
    sha256: dict[str, str] = field(default_factory=dict)


def libraries(sources: Sequence[AssetSource], rules: Rules, table: Path) -> list[Library]:
    """All libraries, sorted by name and version. Raises AssetError with all faults."""
    own, claims = _load(table)
    present: dict[str, bytes] = {}
    for source in sources:
        reader = source.tree.open(rules.max_file_bytes)
        paths = [
            path
            for path in reader.sizes
            if path.endswith(_SCRIPTS_AND_STYLES)
            and (source.name in _WHOLE_SOURCES or not rules.excluded_by(f"{source.name}/{path}"))
        ]
        present |= {f"{source.name}/{path}": content for path, content in reader.contents(paths)}
    faults = [fault for claim in claims for fault in _faults(claim, present)]
    claimed = {name for claim in claims for name in claim.marks}
    faults += [
        f"{name}: belongs to no library and is not in `own`"
        for name in sorted(present.keys() - claimed)
        if not name.startswith("service/") and not any(pattern.matches(name) for pattern in own)
    ]
    faults += [f"own: {p.text}: matches no file" for p in own if not any(p.matches(name) for name in present)]
    if faults:
        raise AssetError(
            f"{table.name} disagrees with the files",
            detail="\n".join(faults),
            cause="the release, or a patch, has changed or removed a library",
            next_step=f"look at the file, then mend assets/{table.name}",
        )
    found = [
        Library(
            claim.name,
            claim.version,
            claim.licence,
            claim.purl,
            tuple(sorted(claim.marks)),
            any(not rules.excluded_by(name) for name in claim.marks),
            claim.stated_by,
        )
        for claim in claims
    ]
    return sorted(found, key=lambda library: (library.name, library.version))


def library_files(table: Path) -> set[str]:
    """The logical names of all files that belong to a library. Raises AssetError."""
    return {name for claim in _load(table)[1] for name in claim.marks}


def _faults(claim: _Claim, present: dict[str, bytes]) -> list[str]:
    where = f"{claim.name} {claim.version}"
    faults = []
    for name, mark in claim.marks.items():
        if name not in present:
            faults.append(f"{where}: {name} is not there")
        elif mark.encode() not in present[name]:
            faults.append(f"{where}: {name} no longer says {mark!r}")
    for name, expected in claim.sha256.items():
        got = hashlib.sha256(present.get(name, b"")).hexdigest()
        if name in present and got != expected:
            faults.append(f"{where}: {name} has sha256 {got}, not {expected}: is it still that version?")
    return faults


def _load(table: Path) -> tuple[list[Pattern], list[_Claim]]:
    try:
        document = tomllib.loads(table.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AssetError(f"cannot read {table.name}: {error}") from error
    faults: list[str] = []
    own = _texts(document.get("own"), "own", faults)
    claims = [_claim(entry, f"library[{n}]", faults) for n, entry in enumerate(document.get("library", []))]
    if faults:
        raise AssetError(f"faults in {table.name}", detail="\n".join(faults))
    return [Pattern.of(text) for text in own], claims


def _claim(entry: dict[str, Any], where: str, faults: list[str]) -> _Claim:
    keys = {"name", "version", "licence", "purl", "stated_by", "marks", "sha256"}
    faults += [f"{where}.{key}: no such key" for key in sorted(entry.keys() - keys)]
    faults += [
        f"{where}.{key}: must be text"
        for key in ("name", "version", "licence", "purl")
        if not isinstance(entry.get(key), str) or not entry[key]
    ]
    claim = _Claim(
        name=str(entry.get("name", "")),
        version=str(entry.get("version", "")),
        licence=str(entry.get("licence", "")),
        purl=str(entry.get("purl", "")),
        stated_by=str(entry.get("stated_by", "")),
        marks=_table(entry.get("marks"), f"{where}.marks", faults),
        sha256=_table(entry.get("sha256", {}), f"{where}.sha256", faults),
    )
    if not _PURL.fullmatch(claim.purl):
        faults.append(f"{where}.purl: {claim.purl!r} is no package URL with a version")
    says = any(claim.version in mark for mark in claim.marks.values())
    if not says and not (claim.stated_by and claim.sha256):
        faults.append(f"{where}: no mark says {claim.version}; give stated_by, and the sha256 of a file")
    return claim


def _table(value: Any, where: str, faults: list[str]) -> dict[str, str]:
    if isinstance(value, dict) and all(isinstance(text, str) and text for text in value.values()):
        return value
    faults.append(f"{where}: must be a table of file = text")
    return {}


def _texts(value: Any, where: str, faults: list[str]) -> list[str]:
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    faults.append(f"{where}: must be a list of texts")
    return []
