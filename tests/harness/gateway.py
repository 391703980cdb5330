"""The reference gateway, running, and visitors who log in at it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import requests

from harness.environments import run
from harness.processes import Running, free_port, listens, running, wait_for

_CONFIG = """\
listen = "127.0.0.1:{port}"
url = "{url}"
state = "{folder}/state"
{more}
"""
_CLUSTER = """
[[cluster]]
id = "{0}"
name = "Cluster {0}"
url = "{1}"
"""


@dataclass
class ReferenceGateway:
    """A gateway's files and addresses; its process, once it runs."""

    interpreter: Path
    folder: Path
    url: str
    clusters: dict[str, str]
    more: str = ""
    port: int = field(default_factory=free_port)
    process: Running | None = None

    def __post_init__(self) -> None:
        clusters = "".join(_CLUSTER.format(*each) for each in self.clusters.items())
        text = _CONFIG.format(port=self.port, url=self.url, folder=self.folder, more=self.more)
        self.config.write_text(text + clusters)

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def keys(self) -> str:
        """Where its public keys are."""
        return f"http://{self.address}/.well-known/jwks.json"

    @property
    def password(self) -> str:
        """The first administrator's, as it was printed."""
        assert self.process is not None
        [password] = re.findall(r"as admin with the password (\S+)", self.process.output)
        return str(password)

    def argv(self, *arguments: str) -> list[str]:
        command = str(self.interpreter.parent / "airflow-service")
        return [command, "gateway", *arguments, "--config", str(self.config)]

    def command(self, *arguments: str) -> str:
        """Run one of its other subcommands; returns what it printed."""
        return run(self.argv(*arguments))

    def refused(self, *arguments: str, given: str = "") -> str:
        """What one that ends with 78 says."""
        done = subprocess.run(self.argv(*arguments), input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 78, done.stdout + done.stderr
        return done.stderr

    def add(self, user: str, roles: dict[str, str]) -> str:
        """A user with a password, which is returned."""
        password = self.command("add-user", "--user", user).split()[-1]
        for cluster, role in roles.items():
            self.set_role(user, cluster, role)
        return password

    def set_role(self, user: str, cluster: str, role: str) -> None:
        self.command("set-role", "--user", user, "--cluster", cluster, "--role", role)

    @contextmanager
    def serving(self) -> Iterator[ReferenceGateway]:
        with running(self.argv(), self.folder / "gateway.log") as self.process:
            wait_for("the gateway", lambda: listens(self.port), 60, self.process)
            yield self


@dataclass
class Visitor:
    """A browser's part in it: cookies, and forms that are sent back as they came."""

    origin: str
    prefix: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.origin + path, headers=headers, allow_redirects=False, timeout=30)

    def post(self, path: str, values: dict[str, str], **headers: str) -> requests.Response:
        url = self.origin + path
        return self.session.post(url, values, headers=headers, allow_redirects=False, timeout=30)

    def login(self, user: str, password: str, wanted: str = "") -> requests.Response:
        page = self.get(f"{self.prefix}/login?next={wanted}")
        assert page.status_code == 200, page.text
        return self.post(f"{self.prefix}/login", {**hidden(page.text), "user": user, "password": password})

    def logout(self) -> requests.Response:
        return self.post(f"{self.prefix}/logout", hidden(self.get(f"{self.prefix}/").text))


def hidden(page: str) -> dict[str, str]:
    """The values of a form that nobody types in."""
    fields: Sequence[tuple[str, str]] = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in fields}
