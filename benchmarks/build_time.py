"""How long a build takes, against `pip wheel` of the untouched sdist.

Cold means: downloads are cached and nothing else is. Both sides make the
environment that they build in, from pip's cache of downloads.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row, show
from builder.index import fetch
from builder.release import select_release
from builder.workspace import Workspace, cache_home

ROOT = Path(__file__).resolve().parent.parent


def checkout(target: Path) -> Path:
    """A copy of this checkout's files, as a fresh clone would have them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.decode().split("\0")):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, place)
    return target


def timed(command: list[str], **options: object) -> float:
    """Seconds of wall time of a command that must succeed."""
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]
    return time.monotonic() - begun


def base_python() -> str:
    return os.environ.get("BUILD_BASE_PYTHON") or str(getattr(sys, "_base_executable", sys.executable))


def pip_wheel(sdist: Path, scratch: Path) -> float:
    """`pip wheel --no-deps` of the untouched sdist, downloads cached, wheels not."""
    cache = scratch / "pip-cache"
    shutil.rmtree(cache / "wheels", ignore_errors=True)
    command = [
        base_python(),
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--use-pep517",
        "--no-deps",
        f"--cache-dir={cache}",
    ]
    return timed([*command, f"--wheel-dir={scratch / 'wheels'}", str(sdist)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    workspace = Workspace(ROOT)
    release = select_release(workspace.patches, None)
    archives = fetch(release.sources, workspace.downloads)
    sdist = archives[release.trees[0].file]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        environment = {**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")}
        for name in ("BUILD_BASE_PYTHON", "VIRTUAL_ENV"):
            environment.pop(name, None)
        for downloaded in (workspace.downloads, cache_home() / "environments"):
            shutil.copytree(downloaded, scratch / "cache" / "airflow-service" / downloaded.name)
        copy = checkout(scratch / "checkout")
        dist = [base_python(), "build.py", "dist"]
        pip_wheel(sdist, scratch)
        cold: list[float] = []
        reference: list[float] = []
        again: list[float] = []
        last: list[float] = []
        first: list[float] = []
        for _ in range(arguments.runs):
            for made in (
                copy / ".build",
                copy / "dist",
                scratch / "cache" / "airflow-service" / "compressed",
            ):
                shutil.rmtree(made, ignore_errors=True)
            cold.append(timed(dist, cwd=copy, env=environment))
            reference.append(pip_wheel(sdist, scratch))
            again.append(timed(dist, cwd=copy, env=environment))
            for times, place in ((last, -1), (first, 0)):
                touch_patch(copy, place)
                times.append(timed(dist, cwd=copy, env=environment))
    rows = [
        Row("cold dist / pip wheel of the sdist", cold, reference, 1.5),
        Row("dist, nothing changed / one second", again, [1.0] * len(again), 1.0),
        Row("dist, last patch touched / cold dist", last, cold, 0.5),
        Row("dist, first patch touched / cold dist", first, cold, 0.5),
    ]
    wheel = workspace.dist / release.wheel_name
    if wheel.exists():
        upstream = archives[release.references[0].file].stat().st_size
        rows.append(
            Row("wheel / upstream's wheel", [wheel.stat().st_size / 1e6], [upstream / 1e6], 1.0, "MB")
        )
    return show("Building", rows, {"runs": str(arguments.runs)}, ROOT / ".build" / "benchmarks" / "build_time.svg")


def touch_patch(copy: Path, place: int) -> None:
    """Change the reason of one patch of the series, which changes the patch but not the tree."""
    directory = select_release(copy / "patches", None).directory
    names = [line for line in (directory / "series").read_text().splitlines() if line and line[0] != "#"]
    path = directory / names[place]
    path.write_text(path.read_text().replace("\n\nForwarded:", " Touched.\n\nForwarded:", 1))


if __name__ == "__main__":
    sys.exit(main())
