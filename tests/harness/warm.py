"""An interpreter that has imported what is costly, and forks for each piece of code that is to be run.

A process of Airflow spends two thirds of its start on libraries, which no patch changes. What
is Airflow's own is imported by the fork, in the environment that it is given.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.processes import running, wait_for

_SERVER = Path(__file__).with_name("warm_server.py")

# What Airflow's web application imports of others, as far as it takes time.
_LIBRARIES = (
    "attr", "bcrypt", "colorlog", "croniter", "cryptography.fernet", "cryptography.x509", "dill",
    "flask_admin.contrib.sqla", "flask_caching", "flask_caching.backends.filesystemcache",
    "flask_login", "flask_wtf", "future.standard_library", "jinja2.sandbox", "jwt", "markdown",
    "numpy", "nvd3", "past.builtins", "pendulum", "psutil", "pygments.formatters.html",
    "pygments.lexers.special", "requests", "slugify", "sqlalchemy.dialects.sqlite",
    "sqlalchemy.ext.declarative", "sqlalchemy.ext.hybrid", "sqlalchemy_jsonfield", "tabulate",
    "tenacity", "whitenoise", "zope.deprecation",
)  # fmt: skip


@dataclass(frozen=True)
class WarmPython:
    """A running interpreter, by its socket; any number of processes may ask it."""

    address: Path

    def run(
        self, code: str, *arguments: str, cwd: Path, env: Mapping[str, str], timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run code as `python -c` would, to its end; raises subprocess.TimeoutExpired."""
        request = {"code": code, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            socket.socket(socket.AF_UNIX) as wire,
        ):
            wire.connect(str(self.address))
            socket.send_fds(wire, [b"!"], [out.fileno(), err.fileno()])
            with wire.makefile("rw") as lines:
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                pid = int(lines.readline())
                wire.settimeout(timeout)
                try:
                    code_of_exit = int(lines.readline())
                except TimeoutError:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(["python", "-c", code], timeout) from None
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(
                ["python", "-c", code, *arguments], code_of_exit, out.read(), err.read()
            )


@contextmanager
def warm_python(interpreter: Path, modules: Sequence[str]) -> Iterator[WarmPython]:
    """Start an interpreter that imports some modules."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    # A path of a socket must be short. Threads of a library would be missing in the forks.
    with tempfile.TemporaryDirectory(prefix="test-warm-") as folder:
        address = Path(folder) / "socket"
        argv = [str(interpreter), str(_SERVER), str(address), *modules]
        environment = {**kept, "OPENBLAS_NUM_THREADS": "1"}
        with running(argv, Path(folder) / "log", environment, Path(folder)) as process:
            wait_for("the warm interpreter", address.exists, 120, process, interval=0.05)
            yield WarmPython(address)


def of_the_webserver(interpreter: Path) -> AbstractContextManager[WarmPython]:
    """Start an interpreter with the libraries that Airflow's web application imports."""
    return warm_python(interpreter, _LIBRARIES)
