"""An environment with the wheel of dist/ and exactly what its lock names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import uv

from builder.errors import LockError
from builder.index import pip_settings
from builder.lock import index_options
from builder.release import Release
from builder.workspace import Workspace, digest, file_sha256


def install(workspace: Workspace, release: Release) -> Path:
    """Install the wheel of dist/ for the running Python; returns the environment's folder.

    From the wheelhouse where there is one, else from the index that pip is set up
    for. An environment of the same wheel and lock is used again.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheel = workspace.dist / release.wheel_name
    lock = workspace.dist / f"constraints-{release.full_version}-py{python}.txt"
    if not lock.is_file():
        raise LockError(f"{release.name} {release.version} does not support Python {python}")
    key = digest(file_sha256(wheel), file_sha256(lock), sys.version, sys.base_prefix)
    folder = workspace.build / "demo" / f"env-{key[:12]}"
    if not (folder / "complete").exists():
        for old in folder.parent.glob("env-*"):
            shutil.rmtree(old)
        _make(workspace, wheel, lock, folder, python)
        (folder / "complete").touch()
    return folder


def _make(workspace: Workspace, wheel: Path, lock: Path, folder: Path, python: str) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    _uv("venv", "--quiet", "--no-config", f"--python={base}", str(folder))
    wheelhouse = workspace.dist / f"wheelhouse-py{python}"
    # A wheelhouse holds wheels that were built here, whose hashes only its own list has.
    if wheelhouse.is_dir():
        options = ["--no-config", "--no-index", f"--find-links={wheelhouse}"]
        requirements = wheelhouse / "requirements.txt"
    else:
        options, requirements = index_options(pip_settings()), lock
    install = ["pip", "install", "--quiet", f"--python={folder / 'bin' / 'python'}", *options]
    _uv(*install, "--require-hashes", "--no-deps", f"--requirement={requirements}")
    _uv(*install, "--no-deps", str(wheel))


def _uv(*arguments: str) -> None:
    done = subprocess.run([uv.find_uv_bin(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LockError(
            "the locked dependencies cannot be installed",
            detail=done.stderr,
            cause="no network, and no wheelhouse in dist/",
            next_step="make wheelhouse where there is a network, or mend pip's configuration",
        )
