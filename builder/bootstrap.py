"""Make the environments that the build and the tests run in; standard library only.

An environment is a venv below `.build/`, named by the hash of its requirements
(every package pinned, with hashes) and of the interpreter, so that a changed
requirement makes a new one and an unchanged one costs nothing. What it is made
from is downloaded once, into the user's cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
DONE = "complete"


def requirements_file(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def environment_folder(name: str) -> Path:
    """Where the environment of this name, for this interpreter, is or will be."""
    key = hashlib.sha256(requirements_file(name).read_bytes())
    key.update(f"{sys.version}\0{sys.base_prefix}".encode())
    return ROOT / ".build" / f"{family(name)}{key.hexdigest()[:12]}"


def family(name: str) -> str:
    """What the folders of one environment begin with, over all its requirements."""
    return f"env-{name}-py{sys.version_info.major}{sys.version_info.minor}-"


def ensure_environment(name: str) -> Path:
    """The interpreter of an environment, which is made if it is not there yet."""
    folder = environment_folder(name)
    interpreter = folder / "bin" / "python"
    if (folder / DONE).exists():
        mark_used(folder / DONE)
        return interpreter
    folder.parent.mkdir(exist_ok=True)
    with open(folder.parent / "env.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / DONE).exists():
            # Few starts make anything, and every start reads this file: what making takes is read now.
            from builder.make_environment import make

            make(name, folder)
    return interpreter


def mark_used(path: Path) -> None:
    """Let the path's time say when an environment was last started, or made from these downloads."""
    # Where nothing can be written, nothing is removed either.
    with contextlib.suppress(OSError):
        os.utime(path)


def enter(name: str, *, stay: bool = False) -> None:
    """Go on in an environment: replaces this process unless it runs there already.

    With `stay` this process goes on, with the environment's packages: for what starts
    no other program, and would take less time than another interpreter's start.
    Where packages of another place may be imported already it is replaced all the same.
    """
    folder = environment_folder(name)
    if Path(sys.prefix).resolve() == folder.resolve():
        return
    if stay and sys.flags.no_site:
        _environment(name)
        sys.path.insert(1, str(packages_folder(folder)))
        return
    # The user's interpreter is the one whose pip is set up: index.py asks it.
    os.environ.setdefault("BUILD_BASE_PYTHON", sys.executable)
    _replace_process(name, sys.argv)


def packages_folder(folder: Path) -> Path:
    """Where an environment for this interpreter has its packages."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _replace_process(name: str, arguments: Sequence[str]) -> NoReturn:
    interpreter = _environment(name)
    os.execv(interpreter, [interpreter, *arguments])


def _environment(name: str) -> str:
    """The environment's interpreter; ends the program if there is none and none can be made."""
    try:
        return str(ensure_environment(name))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the next run makes the environment anew\n")
        sys.exit(130)
    except OSError as error:
        sys.stderr.write(
            f"error: the {name} environment cannot be made: {error}\n"
            "usual cause: the disk is full, or the checkout cannot be written\n"
            "next: make room or mend the permissions, and run the same command again\n"
        )
        sys.exit(22)


def main() -> None:
    """`python -m builder.bootstrap NAME ARG…` runs `python ARG…` in environment NAME."""
    name, *arguments = sys.argv[1:]
    _replace_process(name, arguments)


if __name__ == "__main__":
    main()
