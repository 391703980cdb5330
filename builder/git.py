"""Call git so that no configuration of the user's or the machine's has a say."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from builder.errors import MissingTool
from builder.workspace import refuse_storage

# The first with GIT_CONFIG_COUNT.
_NEEDED = (2, 31)
_CONFIGURATION = {
    "core.autocrlf": "false",
    "core.fileMode": "true",
    "core.quotePath": "false",
    "core.commitGraph": "false",
    "commit.cleanup": "whitespace",
    "commit.gpgSign": "false",
    "diff.algorithm": "myers",
    "diff.renames": "false",
    "diff.mnemonicPrefix": "false",
    "diff.noprefix": "false",
    "diff.context": "3",
    "diff.interHunkContext": "0",
    "diff.suppressBlankEmpty": "false",
    "gc.auto": "0",
    "init.defaultBranch": "main",
    # The tree belongs to whoever builds; an owner that differs is no attack here.
    "safe.directory": "*",
    "user.name": "build",
    "user.email": "build@localhost",
}


def run_git(
    tree: Path,
    *arguments: str,
    stdin: bytes | None = None,
    check: bool = True,
    settings: Mapping[str, str] = {},
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a tree; with `check`, a failure raises CalledProcessError.

    Raises StorageFailure if the disk, rather than git, was in the way.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull, LC_ALL="C.UTF-8", TZ="UTC")
    environment["GIT_CONFIG_COUNT"] = str(len(_CONFIGURATION))
    for place, (key, value) in enumerate(_CONFIGURATION.items()):
        environment[f"GIT_CONFIG_KEY_{place}"] = key
        environment[f"GIT_CONFIG_VALUE_{place}"] = value
    environment.update(settings)
    _require_git()
    done = subprocess.run(
        ["git", *arguments], cwd=tree, env=environment, input=stdin, capture_output=True, check=False
    )
    if done.returncode != 0:
        # A limit on the size of files kills git, which then says nothing.
        said = (
            os.strerror(errno.EFBIG)
            if done.returncode == -signal.SIGXFSZ
            else done.stderr.decode("utf-8", "replace")
        )
        refuse_storage(said, tree)
    if check:
        done.check_returncode()
    return done


def _require_git() -> None:
    """Raise MissingTool unless there is a git that reads its configuration from the environment."""
    program = shutil.which("git")
    if program is None:
        raise MissingTool("git is not installed", next_step="install git 2.31 or later")
    _refuse_old(program)


@cache
def _refuse_old(program: str) -> None:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    said = done.stdout.strip()
    version = re.search(r"(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < _NEEDED:
        # It would pass over GIT_CONFIG_COUNT in silence, and the user's configuration have its say.
        raise MissingTool(
            f"{program} is too old: {said or 'it does not say its version'}",
            next_step="install git 2.31 or later",
        )


def git_text(tree: Path, *arguments: str) -> str:
    """What a git command prints, as text without the last line's end."""
    return run_git(tree, *arguments).stdout.decode("utf-8", "surrogateescape").rstrip("\n")
