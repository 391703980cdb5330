"""An environment with the wheel of dist/ and exactly what its lock names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import uv

from builder import wheelhouse
from builder.errors import InvalidDist, LockError
from builder.lock import index_options, uv_environment
from builder.pip import pip_settings
from builder.release import Release
from builder.workspace import Workspace, digest, file_sha256
from demo.holding import hold, remove_free


def install(workspace: Workspace, release: Release) -> Path:
    """Install the wheel of dist/ for the running Python; returns the environment's folder.

    From the wheelhouse where there is one, else from the index that pip is set up
    for. An environment of the same wheel and lock is used again, and this process
    holds it. Only one demo at a time may be here. Raises InvalidDist and LockError.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheel = finished_wheel(workspace, release)
    lock = workspace.dist / f"constraints-{release.full_version}-py{python}.txt"
    if not lock.is_file():
        raise LockError(f"{release.name} {release.version} does not support Python {python}")
    key = digest(file_sha256(wheel), file_sha256(lock), sys.version, sys.base_prefix)
    folder = workspace.build / "demo" / f"env-{key[:12]}"
    if not (folder / "complete").exists():
        # Another demo may be running in an older one.
        remove_free(folder.parent, "env-*")
        _make(workspace, wheel, lock, folder, python)
        (folder / "complete").touch()
    hold(folder)
    return folder


def finished_wheel(workspace: Workspace, release: Release) -> Path:
    """The wheel of dist/. Raises InvalidDist if there is none."""
    wheel = workspace.dist / release.wheel_name
    if not wheel.is_file():
        raise InvalidDist(
            f"there is no {wheel.name} in {workspace.dist}",
            cause="nothing was built yet, or another version",
            next_step="make dist",
        )
    return wheel


def _make(workspace: Workspace, wheel: Path, lock: Path, folder: Path, python: str) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    settings = pip_settings()
    variables = uv_environment(settings)
    _uv(variables, "venv", "--quiet", "--no-config", f"--python={base}", str(folder))
    house = workspace.dist / f"{wheelhouse.PREFIX}{python}"
    # A wheelhouse holds wheels that were built here, whose hashes only its own list has.
    if wheelhouse.is_current(house, wheel, lock):
        options = ["--no-config", "--no-index", f"--find-links={house}"]
        requirements = house / wheelhouse.REQUIREMENTS
    else:
        options, requirements = index_options(settings), lock
    install = ["pip", "install", "--quiet", f"--python={folder / 'bin' / 'python'}", *options]
    _uv(variables, *install, "--require-hashes", "--no-deps", f"--requirement={requirements}")
    _uv(variables, *install, "--no-deps", str(wheel))


def _uv(variables: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [uv.find_uv_bin(), *arguments], env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LockError(
            "the locked dependencies cannot be installed",
            detail=done.stderr,
            cause="no network, and no wheelhouse in dist/",
            next_step="make wheelhouse where there is a network, or mend pip's configuration",
        )
