"""An nginx in front of the demo: the prefix and the gateway on one port, the assets of a CDN on another."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuildError
from builder.release import Release
from demo.processes import stop

PREFIX, GATEWAY = "/airflow-demo", "/gateway"
_VALUES = """\
listen = ["127.0.0.1:{port}"]

[gateway]
address = ["127.0.0.1:{gateway}"]
prefix = "{gateway_prefix}"
keepalive_seconds = 30

[[cluster]]
id = "demo"
prefix = "{prefix}"
webserver = ["127.0.0.1:{webserver}"]
"""
# Nothing of the machine's own nginx is read or written.
_MAIN = """\
{user}daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/airflow.conf;

    # The CDN: files, with the headers that docs/cdn.md asks for.
    server {{
        listen 127.0.0.1:{cdn};
        root {folder}/cdn;
        types {{
{types}
        }}
        add_header Access-Control-Allow-Origin * always;
        add_header X-Content-Type-Options nosniff always;
        add_header Cache-Control $demo_cache;
        add_header Content-Encoding $demo_encoding;
        gzip_static on;
        gzip on;
        gzip_types *;
        gzip_min_length 100;
        gzip_vary on;
{variants}
    }}
    # A compressed variant can be asked for by its own name, too.
    map $uri $demo_encoding {{
        default "";
        ~\\.gz$ gzip;
        ~\\.br$ br;
    }}
    map $uri $demo_cache {{
        default no-cache;
        ~^/a/ "public, max-age=31536000, immutable";
    }}
}}
"""


class EdgeFailed(BuildError):
    """nginx did not start in front of the demo."""

    exit_code = 41


@dataclass(frozen=True, slots=True)
class Edge:
    """Where nginx listens for browsers and as the CDN, and the gateway for it; its program and folder."""

    program: str
    folder: Path
    port: int
    cdn: int
    gateway: int

    @property
    def cdn_url(self) -> str:
        return f"http://127.0.0.1:{self.cdn}"

    @contextlib.contextmanager
    def serve(self, release: Release, dist: Path, environment: Path, webserver: int) -> Iterator[None]:
        """Unpack the bundle, render the configuration as an operator would, and run nginx."""
        with tarfile.open(dist / f"airflow-assets-{release.full_version}.tar.gz") as bundle:
            bundle.extractall(self.folder / "cdn", filter="data")
        self._configure(environment, webserver)
        command = [self.program, "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)]
        with (self.folder / "nginx.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            try:
                self._wait(process)
                yield
            finally:
                stop(process, 10)

    def _configure(self, environment: Path, webserver: int) -> None:
        values = self.folder / "values.toml"
        values.write_text(
            _VALUES.format(
                port=self.port,
                prefix=PREFIX,
                webserver=webserver,
                gateway=self.gateway,
                gateway_prefix=GATEWAY,
            )
        )
        done = subprocess.run(
            [environment / "bin" / "airflow-service", "render", "nginx", "--values", values,
             "--output", self.folder / "airflow.conf"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise EdgeFailed("the configuration of nginx cannot be rendered", detail=done.stderr)
        [manifest] = (self.folder / "cdn" / "manifests").glob("*.json")
        assets = json.loads(manifest.read_bytes())["assets"].values()
        types = {asset["name"].rpartition(".")[2]: asset["type"] for asset in assets}
        types["json"] = "application/json"
        known = "\n".join(f'            "{kind}" {suffix};' for suffix, kind in sorted(types.items()))
        variants = "\n".join(
            f"        location ~ \\.{suffix}\\.(?:gz|br)$ {{ types {{}} "
            f'default_type "{kind}"; gzip off; gzip_static off; }}'
            for suffix, kind in sorted(types.items())
        )
        # As root, nginx would become a user that may not read the demo's folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        main = _MAIN.format(user=user, folder=self.folder, cdn=self.cdn, types=known, variants=variants)
        (self.folder / "nginx.conf").write_text(main)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 20
        while not answers(f"http://127.0.0.1:{self.port}/nginx-health"):
            if process.poll() is not None or time.monotonic() > deadline:
                detail = (self.folder / "nginx.log").read_text("utf-8", "replace")
                raise EdgeFailed("nginx does not answer", detail=detail)
            time.sleep(0.1)


def answers(url: str) -> bool:
    """Whether there is a good answer from an address."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def find_nginx() -> str | None:
    """nginx's program, which Debian has where a user's PATH does not look."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
