"""nginx with the rendered configuration, in front of two clusters."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow_service.nginx.headers import FORGEABLE
from airflow_service.nginx.render import render
from airflow_service.nginx.values import parse_values, read_values
from harness.nginx import Echo, echo, nginx, send, syntax_errors, write_main
from harness.processes import free_port, wait_for
from harness.servers import program
from harness.two_clusters import configure

CLUSTER = Path(__file__).parents[2] / "cluster" / "nginx"
NAME = "airflow.test"
LIMITS: dict[str, Any] = {"names": [NAME], "client_timeout_seconds": 1, "max_body": "200k"}


@dataclass(frozen=True)
class Edge:
    """An nginx's port, and the servers behind it."""

    port: int
    servers: dict[str, Echo]
    access_log: Path = Path()

    def ask(self, path: str, **headers: str) -> dict[str, Any]:
        """What reached a webserver, for a path that is sent as it is written."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {NAME}:{self.port}", "Connection: close"]
        return self.tell([*lines, *(f"{name}: {value}" for name, value in headers.items())])

    def tell(self, lines: list[str]) -> dict[str, Any]:
        head, _, body = send(self.port, "\r\n".join([*lines, "", ""]).encode()).partition(b"\r\n\r\n")
        seen: dict[str, Any] = json.loads(body) if body.startswith(b"{") else {}
        return {"status": int(head.split()[1]), "head": head.decode(), **seen}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Two clusters under one host name; the tests' own address is no trusted proxy."""
    program("nginx")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    with echo("one") as one, echo("two") as two, echo("flower") as flower:
        servers = {"one": one, "two": two, "flower": flower}
        more = {
            "trusted_proxies": ["10.0.0.0/8"],
            "assertion_header": "X-Assertion",
            "access_log": str(folder / "airflow-access.log"),
        }
        with nginx(folder, configure(folder, port, servers, **LIMITS, **more), port):
            yield Edge(port, servers, folder / "airflow-access.log")


def test_the_example_is_rendered() -> None:
    """What the repository shows is what its values give."""
    rendered = render(read_values(CLUSTER / "values.toml"))
    assert (CLUSTER / "airflow.conf").read_text("utf-8") == rendered


@pytest.mark.parametrize("case", ["example", "root", "tls"])
def test_nginx_and_gixy_accept_it(tmp_path: Path, case: str) -> None:
    """`nginx -t` without a warning; the linter finds nothing."""
    table: dict[str, Any] = {
        "listen": ["127.0.0.1:8080"],
        "cluster": [{"webserver": ["127.0.0.1:1"], "prefix": "/"}],
    }
    if case == "tls":
        key, certificate = make_certificate(tmp_path)
        tls = {"certificate": str(certificate), "key": str(key), "hsts_seconds": 31_536_000}
        table |= {"tls": tls, "names": ["*.airflow.test"]}
    parsed = read_values(CLUSTER / "values.toml") if case == "example" else parse_values(table, "test")
    included = tmp_path / "airflow.conf"
    included.write_text(render(parsed))
    main = write_main(tmp_path, included)
    assert syntax_errors(main) == ""
    linted = subprocess.run(
        [Path(sys.executable).parent / "gixy", "--format", "json", main],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(linted.stdout) == [], linted.stderr


@pytest.mark.parametrize(
    ("path", "server"),
    [
        ("/airflow-1/", "one"),
        ("/airflow-19289/admin/?a=b%2Fc", "two"),
        ("/airflow-1/static/a%20b%2Fc", "one"),
        ("/airflow-1/flower/tasks", "flower"),
        ("/airflow-1/flowers", "one"),
    ],
)
def test_each_prefix_leads_to_its_cluster(edge: Edge, path: str, server: str) -> None:
    """The address reaches the webserver as the browser wrote it, with the prefix."""
    seen = edge.ask(path)
    assert seen["server"] == server
    assert seen["line"] == f"GET {path} HTTP/1.1"
    headers = dict(seen["headers"])
    prefixes = {"one": "/airflow-1", "two": "/airflow-19289", "flower": "/airflow-1/flower"}
    assert headers["X-Forwarded-Prefix"] == prefixes[server]
    assert headers["Host"] == headers["X-Forwarded-Host"] == f"{NAME}:{edge.port}"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-For"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/airflow-1928", 404),
        ("/airflow-192899/", 404),
        ("/airflow-1../secret", 404),
        ("/airflow-1..%2fsecret", 404),
        ("/airflow-1;/secret", 404),
        ("//airflow-1/", 404),
        ("/AIRFLOW-1/", 404),
        ("/airflow-1/../airflow-19289/", 400),
        ("/airflow-1/%2e%2e/airflow-19289/", 400),
        ("/airflow-1/%2E./x", 400),
        ("/airflow-1/x/..", 400),
        ("/airflow-1/..%5cx", 400),
        ("/airflow-1/..%2Fairflow-19289/", 400),
        ("/airflow-1/./x", 400),
        ("/airflow-1/a..b?c=../d", 200),
    ],
)
def test_no_path_is_taken_for_another(edge: Edge, path: str, status: int) -> None:
    """Look-alikes of a prefix lead nowhere, and no path climbs out of one."""
    assert edge.ask(path)["status"] == status


def test_a_prefix_without_its_slash(edge: Edge) -> None:
    """The browser is sent on, by a path alone, with the query."""
    head = edge.ask("/airflow-1?next=//evil.test")["head"]
    assert " 308 " in head
    assert "\r\nLocation: /airflow-1/?next=//evil.test\r\n" in f"{head}\r\n"


def test_what_a_client_must_not_say(edge: Edge) -> None:
    """Headers that speak for a proxy or a gateway are dropped, however they are spelt or repeated."""
    forged = [*FORGEABLE, "X-Assertion", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"]
    forged += ["X-Forwarded-Prefix", "Upgrade"]
    spelt = [spelling(name) for name in forged for spelling in (str, str.lower, str.upper)]
    spelt += [name.replace("-", "_") for name in forged if "-" in name]
    kept = ["Connection: close", "Cookie: session=kept", "X-Csrftoken: kept"]
    lines = ["GET /airflow-1/ HTTP/1.1", f"Host: {NAME}", *kept]
    seen = edge.tell([*lines, *(f"{name}: forged" for name in spelt)])
    assert seen["server"] == "one"
    assert "forged" not in json.dumps(seen["headers"])
    names = [name.lower() for name, _ in seen["headers"]]
    assert len(names) == len(set(names))
    assert {"cookie", "x-csrftoken"} <= set(names)
    assert dict(seen["headers"])["Host"] == NAME


def test_a_trusted_proxy_is_believed(edge: Edge, tmp_path: Path) -> None:
    """Its word on the client, the scheme and the user counts; two assertions count for none."""
    port = free_port()
    trusted = {"trusted_proxies": ["127.0.0.0/8"], "assertion_header": "X-Assertion"}
    with nginx(tmp_path, configure(tmp_path, port, edge.servers, **LIMITS, **trusted), port):
        inner = Edge(port, edge.servers)
        said = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto": "https"}
        headers = dict(inner.ask("/airflow-1/", **said, **{"X-Assertion": "a.b-c_d.e"})["headers"])
        assert headers["X-Forwarded-For"] == "203.0.113.9"
        assert headers["X-Forwarded-Proto"] == "https"
        assert headers["X-Assertion"] == "a.b-c_d.e"
        said = {"X-Assertion": "a.b.c, d.e.f", "X-Forwarded-Proto": "ftp"}
        headers = dict(inner.ask("/airflow-1/", **said)["headers"])
        assert "X-Assertion" not in headers
        assert headers["X-Forwarded-Proto"] == "http"


def test_other_hosts(edge: Edge) -> None:
    """They are told that they are wrong here; health is told to anyone."""
    for host in ("evil.test", f"{NAME}.evil.test", "127.0.0.1"):
        lines = ["GET /airflow-1/ HTTP/1.1", f"Host: {host}", "Connection: close"]
        assert edge.tell(lines)["status"] == 421
    health = requests.get(f"http://127.0.0.1:{edge.port}/nginx-health", timeout=10)
    assert (health.status_code, health.text) == (200, "ok\n")
    # A host in the request line goes before the header, whose port is not taken for its own.
    seen = edge.tell([f"GET http://{NAME}/airflow-1/ HTTP/1.1", "Host: evil.test:81", "Connection: close"])
    assert dict(seen["headers"])["Host"] == NAME


def test_accesses_are_dated_and_have_the_host(edge: Edge) -> None:
    """A line for each request, in which no client can end the line or a field."""
    edge.ask('/airflow-1/"x', **{"User-Agent": 'a"b'})
    # It is logged when it has been answered.
    line = wait_for("the request's line", lambda: re.findall('.*/"?.*x22b"$', edge.access_log.read_text(), re.M), 10)[0]
    date = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"
    fields = rf'{date} {re.escape(socket.gethostname())} 127\.0\.0\.1 "[^"]*" \d{{3}} \d+ \d+\.\d{{3}} "-" "a\\x22b"'
    assert re.fullmatch(fields, line, re.IGNORECASE), line


def test_answers_are_compressed(edge: Edge) -> None:
    """Data, as pages; for those who ask for it."""
    plain = edge.ask("/airflow-1/")
    assert "content-encoding" not in plain["head"].lower()
    packed = edge.ask("/airflow-1/", **{"Accept-Encoding": "gzip"})["head"].lower()
    assert "content-encoding: gzip" in packed
    assert "vary: accept-encoding" in packed


def test_connections_to_a_webserver_are_kept(edge: Edge) -> None:
    """Requests of different clients come over one."""
    assert len({edge.ask("/airflow-1/")["connection"] for _ in range(5)}) == 1


def test_bodies_have_a_limit(edge: Edge) -> None:
    """A large form passes, a larger one is refused before the webserver hears of it."""
    url, headers = f"http://127.0.0.1:{edge.port}/airflow-1/", {"Host": NAME}
    accepted = requests.post(url, data=b"x" * 150_000, headers=headers, timeout=10)
    assert accepted.json()["body"] == 150_000
    refused = requests.post(url, data=b"x" * 250_000, headers=headers, timeout=10)
    assert refused.status_code == 413


@pytest.mark.parametrize("part", ["header", "body"])
def test_slow_clients_are_let_go_of(edge: Edge, part: str) -> None:
    """One that breaks off in mid-sentence is not waited for."""
    start = f"POST /airflow-1/ HTTP/1.1\r\nHost: {NAME}\r\n"
    end = "X-Slow: " if part == "header" else "Content-Length: 9999\r\n\r\nsome"
    begun = time.monotonic()
    with pytest.raises(ConnectionResetError):
        send(edge.port, (start + end).encode(), timeout=15)
    assert 0.5 < time.monotonic() - begun < 12


def test_websockets_reach_flower_alone(edge: Edge) -> None:
    """The protocol changes, and bytes flow both ways, for longer than a slow client has."""
    asking = f"Host: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with socket.create_connection(("127.0.0.1", edge.port), 10) as connection:
        connection.sendall(f"GET /airflow-1/flower/api/events HTTP/1.1\r\n{asking}".encode())
        assert b" 101 " in connection.recv(65536)
        for word in (b"one", b"two"):
            connection.sendall(word)
            assert connection.recv(100) == word.upper()
            time.sleep(1.2)
    lines = ["GET /airflow-1/ HTTP/1.1", f"Host: {NAME}", "Connection: close, Upgrade", "Upgrade: websocket"]
    seen = edge.tell(lines)
    assert (seen["server"], seen["status"]) == ("one", 200)


def test_a_webserver_that_is_down(edge: Edge, tmp_path: Path) -> None:
    """502, at once; the other cluster goes on."""
    port = free_port()
    clusters = [
        {"prefix": "/down", "webserver": [f"127.0.0.1:{free_port()}"]},
        {"prefix": "/up", "webserver": [edge.servers["two"].address]},
    ]
    with nginx(tmp_path, configure(tmp_path, port, edge.servers, **LIMITS, cluster=clusters), port):
        assert Edge(port, edge.servers).ask("/down/")["status"] == 502
        assert Edge(port, edge.servers).ask("/up/")["server"] == "two"


def test_with_a_certificate(edge: Edge, tmp_path: Path) -> None:
    """Over TLS the scheme that a webserver hears of is https."""
    key, certificate = make_certificate(tmp_path)
    port = free_port()
    tls = {"certificate": str(certificate), "key": str(key)}
    with nginx(tmp_path, configure(tmp_path, port, edge.servers, **LIMITS, tls=tls), port):
        context = ssl.create_default_context(cafile=str(certificate))
        raw = socket.create_connection(("127.0.0.1", port), 10)
        with context.wrap_socket(raw, server_hostname=NAME) as connection:
            request = f"GET /airflow-1/ HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert dict(json.loads(answer.partition(b"\r\n\r\n")[2])["headers"])["X-Forwarded-Proto"] == "https"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate
