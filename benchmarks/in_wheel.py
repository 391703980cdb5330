"""Run a measurement inside an environment with the wheel, away from this checkout's own code."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from builder.release import select_release
from builder.workspace import Workspace
from demo.environment import install

ROOT = Path(__file__).resolve().parent.parent


def parse_arguments(description: str | None, *, runs: int, calls: int, of: str) -> argparse.Namespace:
    """`--runs`, `--calls` (of what is called `of`) and `--python`, with these defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=runs, help=f"measurements of each (default: {runs})")
    parser.add_argument("--calls", type=int, default=calls, help=f"{of} in each (default: {calls})")
    parser.add_argument("--python", type=Path, help="an interpreter with the wheel (default: that of dist/)")
    return parser.parse_args()


def measured(arguments: argparse.Namespace, code: str, *more: str) -> Any:
    """What `code` prints as its last line (JSON). It gets the runs, the calls, and `more` as its arguments."""
    workspace = Workspace(ROOT)
    python = arguments.python or install(workspace, select_release(workspace.patches, None)) / "bin" / "python"
    with tempfile.TemporaryDirectory() as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        environment = {**kept, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        argv = [str(python), "-c", code, str(arguments.runs), str(arguments.calls), *more]
        done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
