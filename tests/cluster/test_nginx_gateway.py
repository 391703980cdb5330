"""nginx asks the control plane before each request, and nothing of a client's speaks for it."""

from __future__ import annotations

import json
import re
import tomllib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from airflow_service.nginx.render import render
from airflow_service.nginx.values import parse_values
from harness.control_plane import ControlPlane, control_plane
from harness.nginx import echo, nginx, send
from harness.processes import free_port
from harness.servers import program
from harness.two_clusters import configure
from hypothesis import given, settings
from hypothesis import strategies as st

PAGE = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}


@dataclass(frozen=True)
class Way:
    """An nginx's port, the control plane that it asks, and the servers behind it."""

    port: int
    plane: ControlPlane

    def ask(
        self, path: str, *lines: str, method: str = "GET", user: str = "", body: str = "", **headers: str
    ) -> dict[str, Any]:
        """An answer's status and head, and what reached a server."""
        said = [f"{name}: {value}" for name, value in headers.items()]
        said += [f"Cookie: airflow_gateway={user}"] if user else []
        said += [f"Content-Length: {len(body)}"] if body else []
        request = [f"{method} {path} HTTP/1.1", "Host: a.test", "Connection: close", *said, *lines, "", body]
        head, _, content = send(self.port, "\r\n".join(request).encode()).partition(b"\r\n\r\n")
        seen: dict[str, Any] = json.loads(content) if content.startswith(b"{") else {}
        told = {"status": int(head.split()[1]), "head": head.decode(), "text": content.decode()}
        return {**told, **seen}


def documented(name: str) -> dict[str, Any]:
    """The values that docs/gateway.md has for a control plane."""
    text = Path(__file__).parents[2].joinpath("docs/gateway.md").read_text("utf-8")
    [found] = re.findall(r"^```toml\n(.*?)^```", text.partition(f"## {name}\n")[2].partition("\n## ")[0], re.M | re.S)
    return tomllib.loads(found)


def behind(plane: str) -> dict[str, Any]:
    """The values for two clusters behind a control plane whose pages nginx serves, too."""
    gateway = {"address": [plane], "prefix": "/gateway", "auth": "/auth", "knows_roles": True}
    return {"second": "/airflow-2", "gateway": gateway}


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """Two clusters and a Flower behind one control plane, whose pages nginx serves, too."""
    program("nginx")
    folder, port = tmp_path_factory.mktemp("way"), free_port()
    with echo("one") as one, echo("two") as two, echo("flower") as flower, control_plane() as plane:
        servers = {"one": one, "two": two, "flower": flower}
        with nginx(folder, configure(folder, port, servers, **behind(plane.address)), port):
            yield Way(port, plane)


def test_the_assertion_is_the_planes(way: Way) -> None:
    """It reaches the webserver; the session's cookie and Authorization do not, others do."""
    cookie = "Cookie: a=1; airflow_gateway=user; b=2"
    seen = way.ask("/airflow-1/admin/?x=%2F", cookie, "Authorization: Basic abc")
    headers = dict(seen["headers"])
    assert seen["server"] == "one"
    assert headers["X-Airflow-Assertion"] == "head.body.signature"
    assert headers["Cookie"].replace(" ", "") == "a=1;b=2"
    assert "Authorization" not in headers
    assert headers["X-Forwarded-Prefix"] == "/airflow-1"
    # What the plane gave is for the webserver alone.
    assert "signature" not in seen["head"]
    line, asked = way.plane.asked[-1]
    assert line.startswith("GET /auth?cluster=eu-1&least=viewer ")
    assert asked["X-Original-Uri"] == "/airflow-1/admin/?x=%2F"
    assert asked["Authorization"] == "Basic abc"
    assert "airflow_gateway=user" in asked["Cookie"]


_NAMES = (
    "a",
    "session",
    "airflow_gateway",
    "__Host-airflow_gateway",
    "airflow_gateway_0",
    "airflow_gateway_12",
)
_NAMES += ("my_airflow_gateway", "airflow_gateway2", "airflow_gateway_x", "Airflow_Gateway")
_OWN = re.compile(r"(?:airflow_gateway|__Host-airflow_gateway)(?:_[0-9]+)?")
_SPACE = st.sampled_from(["", " ", "\t", "  "])
_COOKIE = st.tuples(
    _SPACE, st.sampled_from(_NAMES), _SPACE, st.just("="), st.sampled_from(["", "1", "b=c", '"q"']), _SPACE
)


@given(st.lists(st.lists(_COOKIE.map("".join), max_size=5).map(";".join), max_size=3))
@settings(max_examples=80, deadline=None)
def test_the_planes_cookies_go_no_further(way: Way, headers: list[str]) -> None:
    """However they are spelled, and wherever they stand among the others, which pass as they are.

    With more than four of them, nothing passes.
    """
    sent = [*headers, "airflow_gateway=user"]
    seen = way.ask("/airflow-1/", *(f"Cookie: {header}" for header in sent))
    passed = _cookies(dict(seen["headers"]).get("Cookie", ""))
    every = _cookies(";".join(sent))
    others = [one for one in every if not _OWN.fullmatch(one.partition("=")[0].strip())]
    assert passed == (others if len(every) - len(others) <= 4 else [])


def _cookies(header: str) -> list[str]:
    return [one.strip() for one in header.split(";") if one.strip()]


@pytest.mark.parametrize("name", ["X-Airflow-Assertion", "x-airflow-assertion", "X_Airflow_Assertion"])
def test_what_a_client_asserts_is_dropped(way: Way, name: str) -> None:
    """Once or twice, in whatever case; Flower is told of no assertion at all."""
    forged = [f"{name}: forged.a.b", f"{name.upper()}: forged.c.d"]
    for path, user, expected in (
        ("/airflow-1/", "user", ["head.body.signature"]),
        ("/airflow-1/flower/", "admin", []),
        ("/gateway/", "", []),
    ):
        seen = way.ask(path, *forged, user=user)
        assert seen["status"] == 200
        assert "forged" not in seen["text"]
        headers = seen["headers"].items() if isinstance(seen["headers"], dict) else seen["headers"]
        assert [value for key, value in headers if "assertion" in key.lower()] == expected
    assert way.ask("/airflow-1/", *forged)["status"] == 401
    assert not any("forged" in json.dumps(asked) for _, asked in way.plane.asked if "auth" in _)


def test_nobody(way: Way) -> None:
    """A browser that opens a page is led to the login and back; a form and a script are told."""
    page = way.ask("/airflow-1/admin/?a=b&c=//evil.test", **PAGE)
    assert page["status"] == 302
    assert "\r\nLocation: /gateway/login?next=/airflow-1/admin/?a=b&c=//evil.test\r\n" in page["head"]
    assert "no-store" in page["head"]
    form = way.ask("/airflow-1/admin/", method="POST", body="x=1", **PAGE)
    assert form["status"] == 401
    assert "text/html" in form["head"]
    assert "/gateway/login" in form["text"]
    assert "\r\nLocation: /gateway/logout" in way.ask("/airflow-1/admin/airflow/logout")["head"]
    for headers in ({}, {**PAGE, "X-Requested-With": "XMLHttpRequest"}, {**PAGE, "Sec-Fetch-Mode": "cors"}):
        told = way.ask("/airflow-1/api/experimental/test", **headers)
        assert told["status"] == 401
        assert json.loads(told["text"]) == {"error": "You are not logged in"}


def test_somebody_without_a_role(way: Way) -> None:
    """403, as a page or as data; Flower is an administrator's."""
    for path, user in (("/airflow-1/", "none"), ("/airflow-1/flower/", "user")):
        page = way.ask(path, user=user, **PAGE)
        assert page["status"] == 403
        assert "<h1>This is not open to you</h1>" in page["text"]
        [style] = re.findall("<style>(.*?)</style>", page["text"])
        assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in page["head"]
        assert json.loads(way.ask(path, user=user)["text"]) == {"error": "This is not open to you"}
    assert way.ask("/airflow-1/flower/tasks", user="admin")["server"] == "flower"
    line, _ = way.plane.asked[-1]
    assert "cluster=eu-1&least=admin" in line


def test_each_request_is_asked_for(way: Way) -> None:
    """No answer is kept: neither a yes nor a no, and not for another cluster."""
    asked = len(way.plane.asked)
    statuses = [way.ask("/airflow-1/", user=user)["status"] for user in ("user", "none", "user", "")]
    assert statuses == [200, 403, 200, 401]
    assert way.ask("/airflow-2/", user="user")["server"] == "two"
    lines = [line for line, _ in way.plane.asked[asked:]]
    assert len(lines) == 5
    assert "cluster=us-1&" in lines[-1]


def test_a_body_reaches_the_webserver_alone(way: Way) -> None:
    """The control plane is asked with GET and without it."""
    seen = way.ask("/airflow-1/x", method="POST", user="user", body="a" * 5000)
    assert (seen["status"], seen["body"]) == (200, 5000)
    line, asked = way.plane.asked[-1]
    assert line.startswith("GET ")
    assert asked["X-Original-Method"] == "POST"
    assert "Content-Length" not in asked


@pytest.mark.parametrize("path", ["/auth?cluster=eu-1", "/nginx-gateway/1/viewer", "/nginx-gateway/1/admin"])
def test_the_question_is_not_a_clients(way: Way, path: str) -> None:
    """Nobody gets an assertion by asking nginx's own question."""
    answer = way.ask(path, user="admin")
    assert answer["status"] == 404
    assert "signature" not in answer["head"]


def test_a_control_plane_that_is_broken_or_gone(way: Way, tmp_path: Path) -> None:
    """503, never open."""
    for headers in (PAGE, {}):
        broken = way.ask("/airflow-1/", user="broken", **headers)
        assert broken["status"] == 503
        assert "does not answer" in broken["text"]
    port = free_port()
    with echo("one") as one:
        servers = {"one": one, "two": one, "flower": one}
        with nginx(tmp_path, configure(tmp_path, port, servers, **behind(f"127.0.0.1:{free_port()}")), port):
            gone = Way(port, way.plane)
            assert gone.ask("/airflow-1/", user="admin", **PAGE)["status"] == 503
            assert gone.ask("/airflow-1/flower/", user="admin")["status"] == 503
            assert gone.ask("/gateway/login")["status"] == 502


def test_protocols_are_not_changed(way: Way) -> None:
    """No cleartext HTTP/2 anywhere, and a websocket at Flower only."""
    for path in ("/airflow-1/", "/airflow-1/flower/"):
        lines = ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk"]
        seen = way.ask(path, *lines, user="admin")
        assert seen["status"] == 200
        names = {name.lower() for name, _ in seen["headers"]}
        assert not names & {"upgrade", "http2-settings"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """As the guide configures it for oauth2-proxy."""
    folder, port = tmp_path_factory.mktemp("oauth2-proxy"), free_port()
    with echo("one") as one, control_plane() as plane:
        table = documented("oauth2-proxy")
        table["gateway"]["address"] = [plane.address]
        table["listen"] = [f"127.0.0.1:{port}"]
        table["cluster"] = [{"id": "eu-1", "prefix": "/airflow-1", "webserver": [one.address]}]
        conf = folder / "airflow.conf"
        conf.write_text(render(parse_values(table, "docs")))
        with nginx(folder, conf, port):
            yield Way(port, plane)


def test_as_the_guide_has_it_for_oauth2_proxy(proxy: Way) -> None:
    """The provider's token comes in Authorization, once; oauth2-proxy's cookies and pages stay its own."""
    cookies = "Cookie: a=1; _oauth2_proxy=x; _oauth2_proxy_0=y"
    headers = proxy.ask("/airflow-1/", cookies, "Authorization: Bearer forged")["headers"]
    told = [value for name, value in headers if name == "Authorization"]
    assert told == ["Bearer head.body.signature"]
    assert dict(headers)["Cookie"].replace(" ", "") == "a=1;"
    assert proxy.ask("/airflow-1/", "Authorization: Bearer forged")["status"] == 401
    assert "\r\nLocation: /oauth2/start?rd=/airflow-1/x\r\n" in proxy.ask("/airflow-1/x", **PAGE)["head"]
    assert proxy.ask("/oauth2/start", cookies)["page"] == "/oauth2/start"
    assert proxy.ask("/oauth2/authors", cookies)["page"] == "/oauth2/authors"


@pytest.mark.parametrize(
    "path", ["/auth", "/auth/", "//auth", "///auth//", "/%61uth", "/%2fauth", "/auth%2f", "/auth?x", "/./auth"]
)
def test_nobody_sees_a_token(proxy: Way, path: str) -> None:
    """The control plane's own answer, which holds one, is for nginx alone, however its path is spelled."""
    asked = len(proxy.plane.asked)
    answer = proxy.ask(f"/oauth2{path}", "Cookie: _oauth2_proxy=x")
    assert answer["status"] in (400, 404)
    assert "signature" not in answer["head"]
    assert len(proxy.plane.asked) == asked
