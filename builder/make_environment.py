"""Make one of bootstrap's environments; standard library only."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

from builder.bootstrap import DONE, family, mark_used, requirements_file
from builder.workspace import cache_home

# Seconds without a start after which an environment is nobody's any more.
_ABANDONED = 24 * 3600.0
# Seconds after which downloads that no environment was made from are given up.
_FORGOTTEN = 60 * _ABANDONED


def make(name: str, folder: Path) -> None:
    """Make an environment; ends the program if that cannot be. Only under the lock."""
    print(f"making the {name} environment (once)", file=sys.stderr)
    _remove_abandoned(name, folder)
    # Without pip of its own: the one that runs now can install into it, and is set up.
    own_pip = _has_pip(sys.executable)
    try:
        venv.create(folder, with_pip=not own_pip, symlinks=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        sys.stderr.write(
            f"error: {sys.executable} has neither pip 22.3 or later nor ensurepip\n"
            "usual cause: Debian and its kin keep them in packages of their own\n"
            "next: apt install python3-venv (for python3.11: python3.11-venv), and run the same command again\n"
        )
        sys.exit(24)
    interpreter = folder / "bin" / "python"
    pip = (
        [sys.executable, "-m", "pip", f"--python={interpreter}"]
        if own_pip
        else [str(interpreter), "-m", "pip"]
    )
    if not _install(name, pip, cache_home() / "environments" / folder.name):
        shutil.rmtree(folder, ignore_errors=True)
        sys.stderr.write(
            f"error: the {name} environment cannot be made\n"
            "usual cause: no network, or an index that lacks a pinned file; `pip config list` shows what is asked\n"
            "next: mend pip's configuration and run the same command again\n"
        )
        sys.exit(12)
    (folder / DONE).touch()


def _install(name: str, pip: Sequence[str], wheels: Path) -> bool:
    """Install an environment's packages from `wheels`, where they are downloaded to first; whether it went well.

    The folder is the user's, for all checkouts: another checkout's environment, or one that was
    removed, asks no index again.
    """
    pinned = [
        "--quiet", "--quiet", "--disable-pip-version-check", "--no-input",
        "--require-hashes", "--no-deps", "--only-binary=:all:", f"--requirement={requirements_file(name)}",
    ]  # fmt: skip
    # Compiled when imported: most modules never are, and compiling takes longer than the rest.
    install = [*pip, "install", *pinned, "--no-compile", "--no-index", f"--find-links={wheels}"]
    if wheels.exists():
        mark_used(wheels)
        if subprocess.run(install, check=False, capture_output=True).returncode == 0:
            return True
        # A damaged download, which its hash gives away.
        shutil.rmtree(wheels)
    _remove_old_wheels(wheels.parent)
    with tempfile.TemporaryDirectory(dir=wheels.parent, prefix=".new-") as scratch:
        downloaded = Path(scratch) / "wheels"
        download = [*pip, "download", *pinned, f"--dest={downloaded}"]
        if subprocess.run(download, check=False).returncode != 0:
            return False
        # Without a requirement pip makes no folder.
        downloaded.mkdir(exist_ok=True)
        try:
            downloaded.rename(wheels)
        except OSError:
            # Another checkout was quicker.
            if not wheels.exists():
                raise
    return subprocess.run(install, check=False).returncode == 0


def _remove_old_wheels(folder: Path) -> None:
    """Make the folder of downloads, and remove those that no environment was made from for long."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.stat().st_mtime < time.time() - _FORGOTTEN:
            shutil.rmtree(old, ignore_errors=True)


def _remove_abandoned(name: str, wanted: Path) -> None:
    """Remove what a killed run left, and what an older set of requirements had; only under the lock.

    An environment that was started within a day may have a build running in it.
    """
    for old in wanted.parent.glob(f"{family(name)}*"):
        mark = old / DONE
        if old == wanted or not mark.exists() or mark.stat().st_mtime < time.time() - _ABANDONED:
            shutil.rmtree(old)


def _has_pip(interpreter: str) -> bool:
    """Whether this interpreter's pip can install into another environment."""
    done = subprocess.run(
        [interpreter, "-m", "pip", "--version"], capture_output=True, text=True, check=False
    )
    version = done.stdout.split()[1:2]
    # `pip --python` came with 22.3.
    return bool(version) and tuple(map(int, version[0].split(".")[:2])) >= (22, 3)
