"""Collect every wheel that an install needs, for a machine without network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import uv
from packaging.utils import parse_wheel_filename

from builder.bootstrap import requirements_file
from builder.errors import LockError, UnsuitablePython
from builder.lock import lock_file
from builder.release import Release
from builder.workspace import file_sha256, refuse_storage, scratch_folder, storage, write_atomic

REQUIREMENTS = "requirements.txt"
# Its folder in dist/ is called so, with the Python's version behind.
PREFIX = "wheelhouse-py"
# What the list of a wheelhouse says of the lock that it was made from.
_LOCK = "# lock: sha256:"


def require_supported(release: Release, python: str) -> None:
    """Raise UnsuitablePython for a version that the release has no lock for."""
    if python not in release.python:
        raise UnsuitablePython(
            f"{release.name} {release.version} is not made for Python {python}",
            detail=f"known: {', '.join(release.python)}",
            next_step="name one of these with --python",
        )


def find_interpreter(python: str) -> str:
    """An interpreter of a version such as `3.12`, from PATH or where uv finds one."""
    if sys.version_info[:2] == tuple(map(int, python.split("."))):
        return getattr(sys, "_base_executable", sys.executable)
    command = [
        uv.find_uv_bin(),
        "python",
        "find",
        "--no-config",
        "--offline",
        "--no-project",
        f"=={python}.*",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_with_pyenv())
    if done.returncode != 0:
        raise UnsuitablePython(
            f"there is no Python {python} here",
            cause="a wheelhouse is made by the Python that it is for, since some wheels are built",
            next_step=f"install Python {python}, or name another with --python",
        )
    return done.stdout.strip()


def _with_pyenv() -> dict[str, str]:
    """The process environment, with the versions that pyenv has at the end of PATH.

    Its own commands on PATH stand for versions that are not chosen, too, and fail.
    """
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    versions = sorted(map(str, root.glob("versions/*/bin")))
    return {**os.environ, "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), *versions])}


def make_wheelhouse(release: Release, python: str, wheel: Path, target: Path) -> Path:
    """Fill `target` with the locked dependencies' wheels and the distribution's own.

    A dependency that has no wheel is built. `requirements.txt` in it names each
    wheel with its hash: `pip install --no-index --find-links DIR -r DIR/requirements.txt`.
    The folder appears only when it is whole.
    """
    with scratch_folder(target.parent) as scratch:
        house = scratch / "wheelhouse"
        _collect(release, python, house)
        shutil.copy(wheel, house / wheel.name)
        write_atomic(house / REQUIREMENTS, _requirements(house, release, lock_file(release, python)))
        with storage(target):
            if target.exists():
                target.rename(scratch / "old")
            house.rename(target)
    return target


def _collect(release: Release, python: str, house: Path) -> None:
    command = [
        sys.executable, "-m", "pip", f"--python={find_interpreter(python)}", "wheel", "--quiet", "--no-deps",
        "--disable-pip-version-check", "--no-input", "--prefer-binary", "--require-hashes",
        # What an sdist is built with is pinned as well: by what the builder itself runs on.
        f"--build-constraint={requirements_file('build')}",
        f"--requirement={lock_file(release, python)}", f"--wheel-dir={house}",
    ]  # fmt: skip
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(release.source_epoch)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        refuse_storage(done.stderr, house)
        raise LockError(
            f"the wheels for Python {python} cannot be collected",
            detail=done.stderr,
            cause="no network, or an sdist that needs a compiler and headers to build",
            next_step="mend that and run the same command again",
        )


def _requirements(house: Path, release: Release, lock: Path) -> str:
    lines = []
    for path in sorted(house.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(path.name)
        lines.append(f"{name}=={version} --hash=sha256:{file_sha256(path)}")
    heading = [f"# {release.name} {release.full_version} and all it needs.", _LOCK + file_sha256(lock)]
    return "\n".join([*heading, *sorted(lines)]) + "\n"


def is_current(house: Path, wheel: Path, lock: Path) -> bool:
    """Whether a wheelhouse was made from exactly this wheel and this lock."""
    try:
        lines = (house / REQUIREMENTS).read_text("utf-8").splitlines()
        same_wheel = file_sha256(house / wheel.name) == file_sha256(wheel)
        return same_wheel and _LOCK + file_sha256(lock) in lines
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return False
