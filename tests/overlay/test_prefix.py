"""The middleware: one place below the prefix, whatever the proxy does, and few headers believed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from airflow_service.base_url import BaseUrl
from airflow_service.networks import Networks
from airflow_service.prefix import CLIENT_HOST, BehindProxies, client_address
from hypothesis import given
from hypothesis import strategies as st

TRUSTED = Networks.parse("127.0.0.0/8, 10.0.0.0/8")


def ask(
    base_url: str, path: str, *, peer: str = "127.0.0.1", location: str = "", **environ: str
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The answer's status, the environment that the application saw, and the answer's headers."""
    seen: dict[str, Any] = {}
    answer: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.update(environ)
        start_response("302 Found", [("Location", location), ("X-Other", location)])
        return [b""]

    sent = {"REMOTE_ADDR": peer, "PATH_INFO": path, "HTTP_HOST": "seen.example", "wsgi.url_scheme": "http"}
    middleware = BehindProxies(application, BaseUrl.parse(base_url), TRUSTED, "X-Forwarded-Access-Token")
    middleware({**sent, **environ}, lambda *told: answer.extend(told))  # type: ignore[arg-type, return-value]
    return answer[0], seen, dict(answer[1])


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/airflow-1/admin/", "/admin/"),
        ("/admin/", "/admin/"),
        ("/airflow-1/", "/"),
        ("/airflow-1", "/"),
        ("/", "/"),
        ("", "/"),
        ("/airflow-1x/admin/", "/airflow-1x/admin/"),
        ("/airflow-19289/admin/", "/airflow-19289/admin/"),
        ("/Airflow-1/admin/", "/Airflow-1/admin/"),
        ("//airflow-1/admin/", "//airflow-1/admin/"),
        ("/airflow-1/airflow-1/admin/", "/airflow-1/admin/"),
        ("/health", "/health"),
        ("/airflow-1/health", "/health"),
    ],
)
def test_the_prefix_is_taken_off_once(path: str, below: str) -> None:
    """Only as whole steps; a path without it has been stripped by the proxy."""
    _, seen, _ = ask("https://host/airflow-1", path)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/airflow-1", below)


@pytest.mark.parametrize(
    ("script_name", "path"), [("/airflow-1", "/admin/"), ("/air", "flow-1/admin/"), ("", "/admin/")]
)
def test_what_the_server_takes_for_a_prefix_does_not_matter(script_name: str, path: str) -> None:
    """It may have been told by a variable, by a header, or not at all."""
    _, seen, _ = ask("https://host/airflow-1", path, SCRIPT_NAME=script_name)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/airflow-1", "/admin/")


@pytest.mark.parametrize(
    ("base_url", "name", "port"),
    [
        ("https://host/p", "host", "443"),
        ("http://host", "host", "80"),
        ("http://host:8080/p", "host", "8080"),
        ("https://[::1]/p", "[::1]", "443"),
        ("https://[::1]:8443/p", "[::1]", "8443"),
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.9"])
def test_scheme_and_host_are_base_urls(base_url: str, name: str, port: str, peer: str) -> None:
    """Whoever asks, by whatever name, and whatever the headers say."""
    forged = {f"HTTP_X_FORWARDED_{of}": "evil.example" for of in ("HOST", "PROTO", "PORT", "FOR")}
    _, seen, _ = ask(base_url, "/", peer=peer, HTTP_X_SCRIPT_NAME="/evil", **forged)
    url = BaseUrl.parse(base_url)
    assert (seen["wsgi.url_scheme"], seen["HTTP_HOST"]) == (url.scheme, url.host)
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"], seen["SCRIPT_NAME"]) == (name, port, url.prefix)


@pytest.mark.parametrize("told", ["/airflow-1", "/airflow-1/", ""])
def test_a_trusted_proxy_may_name_the_prefix(told: str) -> None:
    """If it is the one that we know."""
    status, seen, _ = ask("https://host/airflow-1", "/admin/", HTTP_X_FORWARDED_PREFIX=told)
    assert status == "302 Found"
    assert seen["SCRIPT_NAME"] == "/airflow-1"


@pytest.mark.parametrize(
    "told", ["/evil", "/airflow-1x", "/airflow-1, /evil", "//evil", "airflow-1", "/AIRFLOW-1"]
)
def test_another_prefix_of_a_trusted_proxy_is_refused(told: str, caplog: pytest.LogCaptureFixture) -> None:
    """One of the two is wrong, and pages full of wrong links would be the result."""
    status, seen, headers = ask("https://host/airflow-1", "/admin/", HTTP_X_FORWARDED_PREFIX=told)
    assert status == "400 Bad Request"
    assert not seen
    assert headers["Content-Type"].startswith("text/plain")
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert repr(told) in caplog.text
    assert "127.0.0.1" in caplog.text


def test_what_strangers_forward_is_dropped() -> None:
    """Neither we nor Flask-Login nor a plugin reads it."""
    forged = {
        "HTTP_X_FORWARDED_PREFIX": "/evil",
        "HTTP_X_FORWARDED_FOR": "10.0.0.1",
        "HTTP_FORWARDED": "for=10.0.0.1",
    }
    forged |= {"HTTP_X_FORWARDED_HOST": "evil", "HTTP_X_FORWARDED_PROTO": "https"}
    forged |= {"HTTP_X_FORWARDED_USER": "admin", "HTTP_X_FORWARDED_WHATEVER": "x", "HTTP_FORWARDED_FOR": "10.0.0.1"}
    status, seen, _ = ask("https://host/airflow-1", "/admin/", peer="203.0.113.9", **forged)
    assert status == "302 Found"
    assert not set(forged) & set(seen)
    assert seen["REMOTE_ADDR"] == "203.0.113.9"
    assert seen[CLIENT_HOST] == "seen.example"


def test_a_trusted_proxy_says_nothing_of_users() -> None:
    """It may pass on what a client made up under a name that it does not know."""
    forged = {"HTTP_X_FORWARDED_USER": "admin", "HTTP_X_FORWARDED_SSL": "on", "HTTP_FORWARDED": "for=10.0.0.1"}
    told = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_FOR": "198.51.100.7"}
    told["HTTP_X_FORWARDED_ACCESS_TOKEN"] = "the.signed.assertion"
    _, seen, _ = ask("https://host/airflow-1", "/admin/", **forged, **told)
    assert not set(forged) & set(seen)
    assert told.items() <= seen.items()


def test_a_trusted_proxy_tells_who_asked_for_what() -> None:
    """The client's address, and the host that it named."""
    told = {"HTTP_X_FORWARDED_FOR": "198.51.100.7, 10.0.0.1", "HTTP_X_FORWARDED_HOST": "outside.example"}
    _, seen, _ = ask("https://host/airflow-1", "/admin/", **told)
    assert seen["REMOTE_ADDR"] == "198.51.100.7"
    assert seen[CLIENT_HOST] == "outside.example"


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        ("", "127.0.0.1"),
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.0.0.1", "198.51.100.7"),
        ("6.6.6.6, 198.51.100.7, 10.0.0.1", "198.51.100.7"),
        ("10.0.0.2, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.2, 10.0.0.1", "10.0.0.2"),
        (", ", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_nobody_vouches_for(forwarded_for: str, address: str) -> None:
    """What the client itself wrote stands further left."""
    assert client_address("127.0.0.1", forwarded_for, TRUSTED) == address
    assert client_address("203.0.113.9", forwarded_for, TRUSTED) == "203.0.113.9"


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("https://host/airflow-1/admin/", "/airflow-1/admin/"),
        ("https://host//evil", "/evil"),
        ("https://host/\\evil", "/evil"),
        ("https://host///\\/evil", "/evil"),
        ("/airflow-1/admin/", "/airflow-1/admin/"),
        ("https://host.evil/airflow-1/", "https://host.evil/airflow-1/"),
        ("https://host@evil/", "https://host@evil/"),
        ("http://host/airflow-1/", "http://host/airflow-1/"),
        ("https://logs.example/x", "https://logs.example/x"),
    ],
)
def test_redirects_to_the_same_host_name_none(location: str, sent: str) -> None:
    """So they hold for whoever came by another name, through a tunnel for one."""
    _, _, headers = ask("https://host/airflow-1", "/", location=location)
    assert headers["Location"] == sent
    assert headers["X-Other"] == location


@given(st.text(st.sampled_from("/\\airflow-1.admin%"), max_size=30))
def test_no_path_leaves_the_prefix(path: str) -> None:
    """Every path is some path below the prefix, and nothing of it is lost."""
    _, seen, _ = ask("https://host/airflow-1", path)
    assert seen["SCRIPT_NAME"] == "/airflow-1"
    assert seen["PATH_INFO"] in (path, path.removeprefix("/airflow-1"), "/")
    assert (seen["PATH_INFO"] == "/") or path.endswith(seen["PATH_INFO"])
