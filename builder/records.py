"""What a build was made of and what came out: build.json and SHA256SUMS.

Both are the same for the same inputs and toolchain: no time of day, host, path
or user is in them. build.json names every output but itself and SHA256SUMS;
SHA256SUMS names build.json too.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from builder.lock import LockedRequirement
from builder.release import Release, Source
from builder.series import Series
from builder.workspace import file_sha256

FORMAT = 1
RECORD_FILE = "build.json"
SUMS_FILE = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Output:
    """One file of `dist/`. Its size is in bytes."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Output:
        return cls(path.name, path.stat().st_size, file_sha256(path))


@dataclass(frozen=True, slots=True)
class Dependency:
    """One version of a locked project, and the Pythons whose lock has it.

    `hashes` are the sha256 of every file that may be installed for it.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    pythons: tuple[str, ...]


def merge_locks(locks: Mapping[str, Sequence[LockedRequirement]]) -> tuple[Dependency, ...]:
    """The locks by Python version as one list, sorted by name and version."""
    found: dict[tuple[str, str], list[tuple[str, LockedRequirement]]] = {}
    for python, requirements in locks.items():
        for one in requirements:
            found.setdefault((canonicalize_name(one.name), one.version), []).append((python, one))
    return tuple(
        Dependency(
            name,
            version,
            tuple(sorted({value for _, one in entries for value in one.hashes})),
            tuple(dict.fromkeys(python for python, _ in entries)),
        )
        for (name, version), entries in sorted(found.items())
    )


def read_toolchain(packages: Iterable[str], programs: Mapping[str, str]) -> dict[str, Any]:
    """The versions of what this build runs on.

    `packages` are distributions of this environment, `programs` are names with
    the command to ask for `--version`. What is not installed is None.
    """
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        # Compressed bytes depend on it, so two builds that differ look here first.
        "zlib": {"compiled": zlib.ZLIB_VERSION, "running": zlib.ZLIB_RUNTIME_VERSION},
        "packages": {name: _package_version(name) for name in packages},
        "programs": {name: _program_version(command) for name, command in programs.items()},
    }


def _package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program_version(command: str) -> str | None:
    try:
        said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    # Only the number: the rest can name a vendor's build or a platform.
    number = re.search(r"\d+(\.\w+)+", said)
    return number[0] if number else said.strip()


def build_record(
    release: Release,
    series: Series,
    *,
    overlay: Mapping[str, str],
    assets: Mapping[str, str],
    locks: Mapping[str, str],
    toolchain: Mapping[str, Any],
    outputs: Iterable[Output],
) -> dict[str, Any]:
    """The content of build.json.

    `overlay`, `assets` and `locks` are the sha256 of each file by its path below
    overlay/, assets/ and the release's directory.
    """
    return {
        "format": FORMAT,
        "name": release.name,
        "version": release.full_version,
        "upstream_version": release.version,
        "revision": release.revision,
        "python": list(release.python),
        "source_epoch": release.source_epoch,
        "source_date": epoch_time(release.source_epoch).isoformat(),
        "sources": [_source_record(source) for source in release.sources],
        "patches": [{"name": patch.name, "sha256": patch.sha256} for patch in series],
        "overlay": dict(overlay),
        "assets": dict(assets),
        "locks": dict(locks),
        "toolchain": dict(toolchain),
        "outputs": {out.name: {"size": out.size, "sha256": out.sha256} for out in outputs},
    }


def _source_record(source: Source) -> dict[str, Any]:
    return {
        "role": source.role,
        "project": source.project,
        "version": source.version,
        "file": source.file,
        "size": source.size,
        "sha256": source.sha256,
    }


def epoch_time(epoch: int) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(epoch, UTC)


def sha256sums(outputs: Iterable[Output]) -> str:
    """The text of SHA256SUMS, for `sha256sum --check`, sorted by name."""
    return "".join(f"{out.sha256}  {out.name}\n" for out in sorted(outputs, key=lambda out: out.name))
