"""Run every benchmark, one after the other: `make bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from builder.errors import BuildError
from builder.release import select_release
from builder.workspace import Workspace
from demo.environment import finished_wheel

BENCHMARKS = (
    "build_time", "publish", "webserver", "asset_url", "gateway", "goto_button", "zombies", "task_logs",
    "log_pages", "page_load",
)  # fmt: skip


def main() -> int:
    """Run the named benchmarks, or all; returns the number that failed, or why none can be run."""
    workspace = Workspace(Path(__file__).resolve().parent.parent)
    try:
        finished_wheel(workspace, select_release(workspace.patches, None))
    except BuildError as error:
        print(error.render(), file=sys.stderr)
        return error.exit_code
    failed = 0
    for name in sys.argv[1:] or BENCHMARKS:
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
