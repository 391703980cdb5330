"""Everything that must pass before a change is taken: `python -m tests.suite [--fast] [PYTEST-ARGUMENT…]`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack

# One more than there are cores, since many tests wait for servers. A file's tests stay on one worker,
# and so share its servers and databases; the order is conftest.py's.
_PARALLEL = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile", "--no-loadscope-reorder"]


def main(arguments: Sequence[str]) -> int:
    """Run the checks and then the tests; the result is 0 if all of them passed."""
    fast = "--fast" in arguments
    more = [argument for argument in arguments if argument != "--fast"]
    python = sys.executable
    checks = [
        [python, "-m", "ruff", "check", "--quiet"],
        [python, "-m", "mypy", "--no-error-summary"],
        [getattr(sys, "_base_executable", python), "build.py", "check"],
    ]
    chosen = ["-m", "not slow", "tests/benchmarks", "tests/builder", "tests/overlay"] if fast else ["--durations=25"]
    tests = [python, "-m", "pytest", *_PARALLEL, *chosen, *more]
    # Each one is run, whatever the others say, the checks beside the tests; what they say comes last.
    with ExitStack() as outputs:
        started = []
        for command in checks:
            output = outputs.enter_context(tempfile.TemporaryFile())
            started.append((command, subprocess.Popen(command, stdout=output, stderr=output), output))
        passed = subprocess.run(tests, check=False).returncode == 0
        for command, process, output in started:
            if process.wait() != 0:
                passed = False
                output.seek(0)
                print(output.read().decode("utf-8", "replace"), end="", file=sys.stderr)
                print(f"failed: {' '.join(command[1:])}", file=sys.stderr, flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
