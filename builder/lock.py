"""The dependency lock: every package, with hashes, for each supported Python."""

from __future__ import annotations

import email.parser
import os
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uv
from packaging.requirements import Requirement

from builder.errors import LockError
from builder.pip import IndexSettings, pip_settings
from builder.release import Release
from builder.workspace import digest, refuse_storage, write_atomic

_HEADING = "# Made by ./build.py lock from the wheel's own requirements; do not edit."
_INPUT = "# input: "
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)(?: ; ([^\\]+?))? \\$")
_HASH = re.compile(r"^    --hash=(sha256:[0-9a-f]{64})(?: \\)?$")
_VIA = re.compile(r"^    # (?:via(?: |$)|  )([A-Za-z0-9].*)?$")


@dataclass(frozen=True, slots=True)
class LockedRequirement:
    """One pinned dependency.

    `hashes` are `sha256:…`, one a file; `via` are the projects that asked for it.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    marker: str = ""


def lock_file(release: Release, python: str) -> Path:
    """Where the lock for a Python version, such as `3.11`, is kept."""
    return release.directory / f"constraints-py{python}.txt"


def wheel_requirements(wheel: Path) -> list[str]:
    """The `Requires-Dist` lines of a wheel's metadata."""
    with zipfile.ZipFile(wheel) as bundle:
        name = next(name for name in bundle.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.parser.BytesParser().parsebytes(bundle.read(name), headersonly=True)
    return metadata.get_all("Requires-Dist", [])


def lock_input(requirements: Sequence[str], extras: Sequence[str], python: str) -> list[str]:
    """The requirements that apply on a Python, such as `3.11`, with the given extras; without markers."""
    target = {"python_version": python, "python_full_version": f"{python}.0"}
    chosen = []
    for line in requirements:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**target, "extra": extra}) for extra in ["", *extras]):
            requirement.marker = None
            chosen.append(str(requirement))
    return sorted(set(chosen))


def is_current(path: Path, wanted: Sequence[str]) -> bool:
    """Whether a lock was made from exactly these requirements."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return False
    return f"{_INPUT}{digest(list(wanted))}" in lines[:3]


def read_lock(path: Path) -> list[LockedRequirement]:
    """The pinned dependencies of a lock. Raises LockError for a line it cannot read."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise LockError(f"{path} is missing", next_step="./build.py lock") from None
    found: list[LockedRequirement] = []
    for number, line in enumerate(lines, 1):
        if match := _REQUIREMENT.match(line):
            found.append(LockedRequirement(match[1], match[2], marker=(match[3] or "").strip()))
        elif found and (match := _HASH.match(line)):
            found[-1] = replace(found[-1], hashes=(*found[-1].hashes, match[1]))
        elif found and (match := _VIA.match(line)):
            found[-1] = replace(found[-1], via=(*found[-1].via, *filter(None, [match[1]])))
        elif line.strip() and not line.lstrip().startswith("#"):
            raise LockError(
                f"{path}, line {number} is not a pin with hashes: {line!r}", next_step="./build.py lock"
            )
    unhashed = [requirement.name for requirement in found if not requirement.hashes]
    if unhashed:
        raise LockError(f"{path} pins without hashes: {', '.join(unhashed)}", next_step="./build.py lock")
    return found


def index_options(settings: IndexSettings) -> list[str]:
    """pip's index settings as options for uv, which has its own configuration."""
    options = ["--no-config", "--index-strategy=unsafe-best-match"]
    options += ["--no-index"] if settings.no_index else [f"--index-url={settings.index_urls[0]}"]
    options += [f"--extra-index-url={url}" for url in settings.extra_index_urls]
    options += [f"--find-links={place}" for place in settings.find_links]
    return options + [f"--allow-insecure-host={host}" for host in settings.trusted_hosts]


# uv's variables that say how to reach an index, and have no say in what comes out.
_UV_KEPT = (
    *("UV_HTTP_PROXY", "UV_HTTPS_PROXY", "UV_NO_PROXY", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS"),
    *("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "UV_HTTP_RETRIES", "UV_KEYRING_PROVIDER", "UV_CACHE_DIR"),
)


def uv_environment(settings: IndexSettings) -> dict[str, str]:
    """The process environment for uv; --no-config leaves its variables in force, such as UV_EXCLUDE_NEWER."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("UV_") or name in _UV_KEPT
    }
    if settings.certificates:
        environment["SSL_CERT_FILE"] = settings.certificates
    return environment


def make_lock(release: Release, wheel: Path, *, upgrade: bool = False) -> list[Path]:
    """Resolve and write the lock of each supported Python; returns the files.

    Without `upgrade`, what an existing lock pins stays pinned where it still fits.
    """
    requirements = wheel_requirements(wheel)
    # Only the main index: an extra one that holds some of a version's files would give a
    # lock with some of its hashes, and so one that holds on this machine alone.
    settings = replace(pip_settings(), extra_index_urls=(), find_links=())
    made = []
    for python in release.python:
        path = lock_file(release, python)
        wanted = lock_input(requirements, release.extras, python)
        write_atomic(
            path, f"{_HEADING}\n{_INPUT}{digest(wanted)}\n{_resolve(wanted, path, python, settings, upgrade)}"
        )
        made.append(path)
    return made


def _resolve(wanted: Sequence[str], path: Path, python: str, settings: IndexSettings, upgrade: bool) -> str:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "requirements.txt"
        if path.exists() and not upgrade:
            target.write_bytes(path.read_bytes())
        command = [
            # From standard input, so that no annotation names a path of this machine.
            uv.find_uv_bin(), "pip", "compile", "-", f"--output-file={target}", "--generate-hashes",
            f"--python-version={python}", "--no-header", "--no-emit-index-url", "--quiet",
            *index_options(settings),
        ]  # fmt: skip
        done = subprocess.run(
            command, env=uv_environment(settings), input="\n".join(wanted),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            refuse_storage(done.stderr, path)
            raise LockError(
                f"the dependencies cannot be resolved for Python {python}",
                detail=done.stderr,
                cause="two requirement ranges that exclude each other, or an index without a package",
                next_step="mend the ranges in setup.py by a patch, then ./build.py lock",
            )
        return target.read_text("utf-8")
