"""The asset manifest that the wheel carries, read and held against the files beside it.

The schema is described in docs/assets.md. A tree that no wheel was built from has
no manifest: its webserver serves static files as Flask does.
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_service.errors import BrokenInstallation

FOLDER = Path(__file__).with_name("static")
FORMAT = 1
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]+\.[0-9a-f]{20}(?:\.[A-Za-z0-9_-]+)?")
_INTEGRITY = re.compile(r"sha384-[A-Za-z0-9+/]{64}")
_SHOWN_FAULTS = 5


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset: its hashed name, its size in bytes, its Content-Type and its `integrity`."""

    name: str
    size: int
    type: str
    integrity: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The assets of this version by logical name, such as `static/main.css`."""

    version: str
    assets: dict[str, Asset]
    groups: dict[str, dict[str, str]]
    """What scripts load by a module's name, as logical names."""
    files: Path
    """The folder of the hashed files and their compressed variants."""
    content: bytes
    """The manifest's file."""


def installed_manifest(folder: Path | None = None) -> Manifest | None:
    """The manifest of this installation; None in a tree that no wheel was built from.

    Raises BrokenInstallation if it is not this version's, if a file is not as it says, or if all are gone.
    """
    folder = folder or FOLDER
    if not folder.is_dir():
        if _was_installed(folder.parent.parent):
            raise BrokenInstallation(f"{folder}: the folder of the assets is missing")
        return None
    version: str = importlib.import_module("airflow_service._version").VERSION
    path = folder / "manifest.json"
    try:
        content = path.read_bytes()
        manifest = _read(content, version, folder / "a")
    except OSError as error:
        raise BrokenInstallation(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BrokenInstallation(f"{path}: {error}") from error
    faults = [fault for asset in manifest.assets.values() if (fault := _file_fault(manifest, asset))]
    if faults:
        more = f" (and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
        raise BrokenInstallation(f"{manifest.files}: {'; '.join(faults[:_SHOWN_FAULTS])}{more}")
    return manifest


def _was_installed(packages: Path) -> bool:
    """Whether an installer put a wheel's content into this folder: it notes that beside the packages."""
    return any(packages.glob("apache_airflow-*.dist-info"))


def same_assets(one: bytes, other: bytes) -> bool:
    """Whether two manifests' files name the same assets; their compressed variants play no part.

    Those are the building machine's: another brotli gives other bytes for the same text (docs/cdn.md).
    """
    if one == other:
        return True
    try:
        return bool(_without_encodings(one) == _without_encodings(other))
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return False


def _without_encodings(content: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(content)
    for entry in document["assets"].values():
        entry.pop("encodings", None)
    return document


def _file_fault(manifest: Manifest, asset: Asset) -> str:
    try:
        size = (manifest.files / asset.name).stat().st_size
    except OSError as error:
        return f"{asset.name}: {error.strerror}"
    return "" if size == asset.size else f"{asset.name} has {size:,} bytes, not {asset.size:,}"


def _read(content: bytes, version: str, files: Path) -> Manifest:
    """Raises ValueError with what is wrong with the manifest."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is cut short, or no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        given = document.get("format") if isinstance(document, dict) else None
        raise ValueError(f"it has the format {given!r}; this version reads {FORMAT}")
    if document.get("version") != version:
        raise ValueError(f"it is the manifest of {document.get('version')!r}, but this is {version}")
    try:
        assets = {logical: _asset(entry) for logical, entry in document["assets"].items()}
        groups = {name: dict(members) for name, members in document["groups"].items()}
        unknown = [target for members in groups.values() for target in members.values() if target not in assets]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it lacks something, or has something else in its place: {error!r}") from error
    if unknown:
        raise ValueError(f"a group names {unknown[0]!r}, which is no asset")
    return Manifest(version, assets, groups, files, content)


def _asset(entry: dict[str, Any]) -> Asset:
    asset = Asset(entry["name"], entry["size"], entry["type"], entry["integrity"])
    if not _NAME.fullmatch(asset.name) or type(asset.size) is not int or not asset.type.isprintable():
        raise ValueError(f"it describes an asset wrongly: {asset.name!r}")
    if not _INTEGRITY.fullmatch(asset.integrity):
        raise ValueError(f"the integrity of {asset.name} is no sha384")
    return asset
