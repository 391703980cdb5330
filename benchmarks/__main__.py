"""Run every benchmark, one after the other: `make bench`."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = ("build_time", "publish", "webserver", "asset_url", "gateway", "page_load")


def main() -> int:
    """Run the named benchmarks, or all; returns the number that failed."""
    failed = 0
    for name in sys.argv[1:] or BENCHMARKS:
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
