"""What a page load asks: the released webserver and ours, nginx in front of both, and a CDN's origin."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from benchmarks.network import Network
from demo.processes import stop

PREFIX = "/airflow-webserver-19289"
INDEX = f"{PREFIX}/admin/"
# Of the examples that both have.
DAGS = 22

# The names of the ways, see network.py.
OURS, RELEASED, CDN = "ours", "released", "cdn"

_NGINX = """\
daemon off;
{user}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    # As Debian's nginx.conf has it.
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    gzip on;
    log_format counted '$server_addr:$server_port $status $request_length $bytes_sent $request_uri';
    # The webserver asks the CDN how it is; a page load did not.
    map $http_user_agent $counts {{ airflow-service 0; default 1; }}
    access_log {folder}/access.log counted if=$counts;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""

# What the release's documentation says to write ("Running Airflow behind a reverse proxy").
_RELEASED = """
    server {{
        listen {address};
        location {prefix}/ {{
            proxy_pass http://{upstream};
            proxy_set_header Host $host;
            proxy_redirect off;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
"""

# As docs/cdn.md asks of a CDN. Over http, browsers ask for no brotli, and nginx has gzip built in.
_CDN = """
    server {{
        listen {address};
        root {bundle};
        gzip_static on;
        add_header Access-Control-Allow-Origin *;
        location /a/ {{
            add_header Access-Control-Allow-Origin *;
            add_header Cache-Control "public, max-age=31536000, immutable";
        }}
    }}
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """A request as nginx counted it; sizes in bytes, with their headers."""

    address: str
    status: int
    asked: int
    answered: int
    path: str


@dataclass(frozen=True, slots=True)
class Sites:
    """What runs at the servers' end of a network."""

    network: Network
    access_log: Path

    def url(self, side: str) -> str:
        return f"{self.network.url(side)}{INDEX}"

    def logged(self, way: str, since: int = 0) -> list[Logged]:
        """The requests that came over a way after a place in the log (see `log_size`)."""
        with self.access_log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode("utf-8", "replace").splitlines()
        found = []
        for line in lines:
            address, status, asked, answered, path = line.split(" ", 4)
            found.append(Logged(address, int(status), int(asked), int(answered), path))
        host, port = self.network.listen[way]
        return [request for request in found if request.address == f"{host}:{port}"]

    def log_size(self) -> int:
        return self.access_log.stat().st_size

    def server_time(self, side: str) -> float:
        """Seconds that the index page takes at the servers' end, through nginx but without a way."""
        host, port = self.network.listen[side]
        begun = time.monotonic()
        with self.network.server():
            connection = http.client.HTTPConnection(host, port, timeout=60)
            connection.connect()
        connection.request("GET", INDEX, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{self.url(side)} answers {answer.status}: {body[:500]!r}")
        return time.monotonic() - begun


@dataclass(frozen=True, slots=True)
class Airflow:
    """An installed Airflow, its home, and where its webserver listens."""

    side: str
    bin: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        return {
            **kept,
            "PATH": f"{self.bin}{os.pathsep}{kept['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "True",
            "AIRFLOW__CORE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            # One worker, and no other that starts in the middle of a load: there are two cores.
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "AIRFLOW__WEBSERVER__WORKER_REFRESH_INTERVAL": "0",
            "AIRFLOW__WEBSERVER__COOKIE_SAMESITE": "Lax",
        }

    def prepare(self) -> None:
        """Make the database; it knows the example DAGs then."""
        (self.home / "dags").mkdir(parents=True)
        subprocess.run(
            [str(self.bin / "airflow"), "initdb"], env=self.environment, check=True, capture_output=True
        )

    @contextmanager
    def webserver(self, network: Network, port: int) -> Iterator[None]:
        """Its webserver, below the prefix."""
        settings = {
            **self.environment,
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
            "AIRFLOW__WEBSERVER__BASE_URL": f"{network.url(self.side)}{PREFIX}",
        }
        if self.side == OURS:
            settings["AIRFLOW__SERVICE__CDN_URL"] = network.url(CDN)
        with (self.home / "webserver.log").open("ab") as log, network.server():
            process = subprocess.Popen(
                [str(self.bin / "airflow"), "webserver"],
                env=settings, cwd=self.home, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield
        finally:
            stop(process, 15)


def unpack(bundle: Path, folder: Path) -> Path:
    """Lay a bundle out as a CDN's origin has it."""
    with tarfile.open(bundle) as archive:
        archive.extractall(folder, filter="data")
    return folder


@contextmanager
def serving(network: Network, airflows: Mapping[str, Airflow], bundle: Path, folder: Path) -> Iterator[Sites]:
    """The webservers, the CDN and nginx, ready to answer, for the time of the block."""
    folder.mkdir()
    with ExitStack() as stack:
        ports = {side: _free_port(network) for side in airflows}
        address = {way: f"{host}:{port}" for way, (host, port) in network.listen.items()}
        servers = [
            _CDN.format(address=address[CDN], bundle=bundle),
            _RELEASED.format(
                address=address[RELEASED], prefix=PREFIX, upstream=f"127.0.0.1:{ports[RELEASED]}"
            ),
            _ours(airflows[OURS], address[OURS], ports[OURS], folder),
        ]
        _start_nginx(stack, network, "".join(servers), folder)
        for side, airflow in airflows.items():
            stack.enter_context(airflow.webserver(network, ports[side]))
        sites = Sites(network, folder / "access.log")
        for side, airflow in airflows.items():
            _wait_for_index(sites, side, airflow.home / "webserver.log")
        yield sites


def _ours(airflow: Airflow, address: str, port: int, folder: Path) -> str:
    """The configuration that the distribution itself renders."""
    values = folder / "values.toml"
    values.write_text(
        f'listen = ["{address}"]\n[[cluster]]\nprefix = "{PREFIX}"\nwebserver = ["127.0.0.1:{port}"]\n'
    )
    return subprocess.run(
        [str(airflow.bin / "airflow-service"), "render", "nginx", "--values", str(values)],
        env=airflow.environment, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip


def _start_nginx(stack: ExitStack, network: Network, servers: str, folder: Path) -> None:
    program = which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if program is None:
        raise RuntimeError("nginx is not installed: `make servers` installs it (Debian)")
    # Its workers must read the bundle, which lies in a folder of ours.
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(user=user, folder=folder, servers=servers))
    with network.server():
        process = subprocess.Popen(
            [program, "-e", str(folder / "error.log"), "-c", str(configuration)],
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    stack.callback(stop, process, 10)


def _wait_for_index(sites: Sites, side: str, log: Path) -> None:
    """Wait for the page with all DAGs; it is asked for a few times, so that templates are compiled."""
    deadline = time.monotonic() + 120
    answered = 0
    while answered < 5:
        try:
            sites.server_time(side)
            answered += 1
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{side} does not answer ({error}):\n{log.read_text()[-3000:]}") from error
            time.sleep(0.25)


def shown_dags(page: str) -> int:
    """How many DAGs an index page shows, by their links to the tree."""
    return len(set(re.findall(r"tree\?dag_id=([^&\"']+)", page)))


def _free_port(network: Network) -> int:
    with network.server(), socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
