"""The Pythons of this machine, and environments with the lock or the wheel in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import uv

from builder.errors import UnsuitablePython
from builder.index import pip_settings
from builder.lock import index_options, lock_file
from builder.release import Release, select_release
from builder.wheelhouse import REQUIREMENTS, find_interpreter
from builder.workspace import tree_files
from harness.made import ROOT, exclusively, key_of, made_once

BASE_PYTHON: str = getattr(sys, "_base_executable", sys.executable)
# The user's interpreter is the one whose pip is set up for an index.
os.environ.setdefault("BUILD_BASE_PYTHON", BASE_PYTHON)


@cache
def release() -> Release:
    return select_release(ROOT / "patches", None)


@cache
def pythons() -> dict[str, str]:
    """The interpreters of the supported versions that are on this machine."""
    found = {}
    for version in release().python:
        try:
            found[version] = find_interpreter(version)
        except UnsuitablePython:
            continue
    return found


def run(argv: Sequence[str | Path], **settings: str) -> str:
    """Run a command to its end; returns what it printed, and fails with it."""
    done = subprocess.run(
        list(map(str, argv)), cwd=ROOT, env={**os.environ, **settings}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done.stdout


def build(*arguments: str) -> str:
    """Run build.py as a user would, by the interpreter that the tests were started with."""
    with exclusively("build"):
        return run([BASE_PYTHON, ROOT / "build.py", *arguments])


def patched_tree() -> Path:
    """A copy of the patched tree as it is now; no later build changes it under a test."""
    tree = Path(build("patch").splitlines()[-1])
    files = {name: path for name, path in tree_files(tree).items() if path.is_file()}
    key = key_of(*(part for name, path in files.items() for part in (name, path)))

    def copy(folder: Path) -> None:
        shutil.copytree(tree, folder / "tree", ignore=shutil.ignore_patterns(".git"), symlinks=True)

    return made_once("tree", key, copy) / "tree"


def dist() -> Path:
    """The folder with all that `./build.py dist` makes."""
    build("dist")
    return ROOT / "dist"


def wheelhouse(version: str) -> Path:
    """Every wheel that an install for a Python needs, copied from dist/."""
    wheel = dist() / release().wheel_name

    def make(folder: Path) -> None:
        made = Path(build("wheelhouse", "--python", version).splitlines()[-1])
        shutil.copytree(made, folder / "wheels")

    key = key_of(wheel, lock_file(release(), version), pythons()[version])
    return made_once(f"wheelhouse-py{version}", key, make) / "wheels"


def installed(version: str) -> Path:
    """The interpreter of an environment in which nothing but the wheelhouse was installed.

    By pip, as most do; on further Pythons by uv, in a third of the time.
    """
    wheels = wheelhouse(version)

    def make(folder: Path) -> None:
        run([pythons()[version], "-m", "venv", "--without-pip", folder])
        python = f"--python={folder / 'bin' / 'python'}"
        offline = ["--quiet", "--no-index", f"--find-links={wheels}", f"--requirement={wheels / REQUIREMENTS}"]
        if version == next(iter(pythons())):
            pip = [sys.executable, "-m", "pip", python, "--isolated"]
            # pip's own settings could name an index, or files that are not in the wheelhouse.
            isolated = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
            run([*pip, "install", *offline], **isolated)
            run([*pip, "check"], **isolated)
        else:
            pip = [uv.find_uv_bin(), "pip"]
            run([*pip, "install", python, "--no-config", "--compile-bytecode", "--link-mode=copy", *offline])
            run([*pip, "check", python])

    key = key_of(wheels / REQUIREMENTS, pythons()[version], Path(__file__))
    return made_once(f"installed-py{version}", key, make) / "bin" / "python"


def runtime(version: str) -> Path:
    """The interpreter of an environment with the locked dependencies and no Airflow."""
    lock = lock_file(release(), version)

    def make(folder: Path) -> None:
        run([pythons()[version], "-m", "venv", "--without-pip", folder])
        run(
            [uv.find_uv_bin(), "pip", "install", "--quiet", f"--python={folder / 'bin' / 'python'}",
             "--link-mode=copy", "--require-hashes", f"--requirement={lock}", *index_options(pip_settings())]
        )  # fmt: skip

    return made_once(f"runtime-py{version}", key_of(lock, pythons()[version]), make) / "bin" / "python"
