"""The reference gateway of the demo: who may enter, and with which password."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuildError
from demo.edge import GATEWAY, PREFIX, Edge, answers
from demo.processes import stop

CLUSTER = "demo"
# Each user has the role that the name says.
USERS = ("admin", "user", "viewer")
_CONFIG = """\
listen = "127.0.0.1:{port}"
url = "{url}"
state = "{folder}/state"

[[cluster]]
id = "{cluster}"
name = "The demo"
url = "{cluster_url}"
"""


class GatewayFailed(BuildError):
    """The demo's gateway did not do what it should."""

    exit_code = 42


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway behind an edge, its program, and its folder."""

    command: Path
    folder: Path
    edge: Edge

    @property
    def url(self) -> str:
        """Where browsers find its pages."""
        return f"http://127.0.0.1:{self.edge.port}{GATEWAY}"

    @property
    def settings(self) -> dict[str, str]:
        """What a webserver has to know of it."""
        return {
            "AIRFLOW__WEBSERVER__AUTHENTICATE": "True",
            "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow_service.gateway",
            "AIRFLOW__API__AUTH_BACKEND": "airflow_service.gateway",
            "AIRFLOW__SERVICE__GATEWAY_KEYS": f"http://127.0.0.1:{self.edge.gateway}/.well-known/jwks.json",
            "AIRFLOW__SERVICE__GATEWAY_ISSUER": self.url,
        }

    def add_users(self) -> dict[str, str]:
        """Make the users, each with a role in the demo; their passwords."""
        self.folder.mkdir(mode=0o700)
        cluster_url = f"http://127.0.0.1:{self.edge.port}{PREFIX}"
        config = _CONFIG.format(
            port=self.edge.gateway, url=self.url, folder=self.folder, cluster=CLUSTER, cluster_url=cluster_url
        )
        self._config.write_text(config)
        return {
            name: self._run("add-user", "--user", name, "--cluster", CLUSTER, "--role", name)
            for name in USERS
        }

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Run it; its output goes to a file in its folder."""
        with (self.folder / "gateway.log").open("wb") as log:
            process = subprocess.Popen(
                [self.command, "gateway", "--config", self._config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                self._wait(process)
                yield
            finally:
                stop(process, 10)

    @property
    def _config(self) -> Path:
        return self.folder / "gateway.toml"

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.command, "gateway", *arguments, "--config", self._config],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise GatewayFailed(f"airflow-service gateway {arguments[0]} failed", detail=done.stderr)
        return done.stdout.split()[-1]

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 30
        while not answers(f"http://127.0.0.1:{self.edge.gateway}/.well-known/jwks.json"):
            if process.poll() is not None or time.monotonic() > deadline:
                detail = (self.folder / "gateway.log").read_text("utf-8", "replace")
                raise GatewayFailed("the gateway does not answer", detail=detail)
            time.sleep(0.1)
