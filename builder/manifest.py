"""The manifest: which object on the CDN each static file is.

The schema is described in docs/assets.md. A change that a reader of the old
one would stumble over raises FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import reprlib
from dataclasses import dataclass, field
from typing import Any

from builder.asset_names import HASHED_NAME, name_fault
from builder.errors import AssetError

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENCODINGS = ("br", "gzip")


@dataclass(frozen=True, slots=True)
class Encoding:
    """One precompressed variant: its size in bytes and the sha256 of its bytes."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One asset as it is served; sizes in bytes, hashes of the uncompressed bytes."""

    name: str
    size: int
    type: str
    sha256: str
    integrity: str
    encodings: dict[str, Encoding] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All assets of one release, by logical name, and the groups of some."""

    version: str
    assets: dict[str, Entry]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)

    def dump(self) -> bytes:
        """The manifest's file: sorted, the same bytes for the same assets."""
        assets = {
            logical: {
                "name": entry.name,
                "size": entry.size,
                "type": entry.type,
                "sha256": entry.sha256,
                "integrity": entry.integrity,
                "encodings": {
                    name: {"size": encoding.size, "sha256": encoding.sha256}
                    for name, encoding in entry.encodings.items()
                },
            }
            for logical, entry in self.assets.items()
        }
        document = {"format": FORMAT, "version": self.version, "assets": assets, "groups": self.groups}
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"

    @classmethod
    def load(cls, content: bytes | str) -> Manifest:
        """Read a manifest's file. Raises AssetError with all faults and their paths."""
        reader = _Reader()
        try:
            document = json.loads(content, object_pairs_hook=reader.table)
        except (ValueError, RecursionError) as error:
            raise AssetError(
                f"the manifest is not JSON: {error}", cause="a download or an upload that was cut off"
            ) from error
        if isinstance(document, dict) and document.get("format") != FORMAT:
            raise AssetError(
                f"the manifest has format {document.get('format')!r}; this version reads format {FORMAT}",
                cause="it was made by another version of the build",
            )
        manifest = reader.manifest(document)
        if reader.faults:
            raise AssetError("the manifest is not valid", detail="\n".join(reader.faults))
        return manifest


class _Reader:
    """Checks each value where it stands and collects the faults."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def table(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """What json makes of an object, had it not swallowed repeated keys."""
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            self.faults += [f"key {key!r}: given twice" for key in found if keys.count(key) > 1]
        return found

    def manifest(self, document: Any) -> Manifest:
        top = self.object(document, "$", {"format", "version", "assets", "groups"})
        assets = {
            name: self.entry(value, f"$.assets[{name!r}]", name)
            for name, value in self.object(top.get("assets"), "$.assets").items()
        }
        groups: dict[str, dict[str, str]] = {}
        for group, members in self.object(top.get("groups"), "$.groups").items():
            groups[group] = self.object(members, f"$.groups[{group!r}]")
            for module, target in groups[group].items():
                if not isinstance(target, str) or target not in assets:
                    self.fault(f"$.groups[{group!r}][{module!r}]", "a name in $.assets", target)
        objects: dict[str, Entry] = {}
        for name, entry in assets.items():
            if objects.setdefault(entry.name, entry) != entry:
                self.faults.append(f"$.assets[{name!r}]: another asset has the same name but differs")
        return Manifest(self.text(top.get("version"), "$.version"), assets, groups)

    def entry(self, value: Any, where: str, logical: str) -> Entry:
        table = self.object(value, where, {"name", "size", "type", "sha256", "integrity", "encodings"})
        if name_fault(logical) or "/" not in logical:
            self.faults.append(f"{where}: the key is no logical name")
        encodings = {}
        for name, encoding in self.object(table.get("encodings"), f"{where}.encodings").items():
            path = f"{where}.encodings.{name}"
            if name not in _ENCODINGS:
                self.faults.append(f"{path}: no encoding that this version knows")
            inner = self.object(encoding, path, {"size", "sha256"})
            encodings[name] = Encoding(
                self.size(inner.get("size"), f"{path}.size"),
                self.matching(inner.get("sha256"), f"{path}.sha256", _SHA256, "64 hexadecimal digits"),
            )
        sha256 = self.matching(table.get("sha256"), f"{where}.sha256", _SHA256, "64 hexadecimal digits")
        name = self.matching(table.get("name"), f"{where}.name", HASHED_NAME, "a hashed name")
        if (match := HASHED_NAME.fullmatch(name)) and sha256 and not sha256.startswith(match["hash"]):
            self.faults.append(f"{where}.name: its hash is not that of sha256")
        return Entry(
            name=name,
            size=self.size(table.get("size"), f"{where}.size"),
            type=self.text(table.get("type"), f"{where}.type"),
            sha256=sha256,
            integrity=self.integrity(table.get("integrity"), f"{where}.integrity"),
            encodings=encodings,
        )

    def fault(self, where: str, expected: str, value: Any) -> None:
        self.faults.append(f"{where}: expected {expected}, not {reprlib.repr(value)}")

    def object(self, value: Any, where: str, keys: set[str] | None = None) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fault(where, "an object", value)
            return {}
        if keys is not None:
            self.faults += [f"{where}.{key}: missing" for key in sorted(keys - value.keys())]
            self.faults += [f"{where}.{key}: no such key" for key in sorted(value.keys() - keys)]
        return value

    def text(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or not value or not value.isprintable():
            self.fault(where, "text", value)
            return ""
        return value

    def size(self, value: Any, where: str) -> int:
        if type(value) is not int or value < 0:
            self.fault(where, "a number of bytes", value)
            return 0
        return value

    def matching(self, value: Any, where: str, pattern: re.Pattern[str], expected: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.fault(where, expected, value)
            return ""
        return value

    def integrity(self, value: Any, where: str) -> str:
        if isinstance(value, str) and value.startswith("sha384-"):
            try:
                if (
                    len(base64.b64decode(value.removeprefix("sha384-"), validate=True))
                    == hashlib.sha384().digest_size
                ):
                    return value
            except binascii.Error:
                pass
        self.fault(where, "sha384- and 48 bytes in base64", value)
        return ""
