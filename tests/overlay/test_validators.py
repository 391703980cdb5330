"""Values of settings: what is taken, what is refused, and in which words."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from airflow_service import validators
from hypothesis import given
from hypothesis import strategies as st

_HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True)
_STEPS = st.lists(st.from_regex(r"[A-Za-z0-9_~-]{1,8}(%20)?", fullmatch=True), max_size=3)
_URL_LIKE = st.text(st.sampled_from("htps:/@?#.%[]\\2fFeE0a \t\néA-;&"), max_size=30)


@given(
    scheme=st.sampled_from(["http", "https"]),
    host=_HOSTS,
    port=st.none() | st.integers(1, 65535),
    steps=_STEPS,
)
def test_plain_urls_are_taken(scheme: str, host: str, port: int | None, steps: list[str]) -> None:
    """A scheme, a host, perhaps a port and a path make a CDN's URL."""
    url = f"{scheme}://{host}{'' if port is None else f':{port}'}{''.join('/' + step for step in steps)}"
    assert validators.cdn_url(url) == url
    assert validators.cdn_url(url + "/") == url


@given(st.text() | _URL_LIKE | _URL_LIKE.map("https://".__add__) | _URL_LIKE.map("http://h/".__add__))
def test_what_is_taken_is_safe_to_build_on(text: str) -> None:
    """Nothing but ValueError comes out, and a URL that is taken has nothing odd."""
    try:
        taken = validators.cdn_url(text)
    except ValueError:
        return
    assert validators.cdn_url(taken) == taken
    if taken:
        parts = urlsplit(taken)
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert parts.port != 0
        assert not parts.username
        assert not parts.password
        assert not parts.query
        assert not parts.fragment
        assert taken.isascii()
        assert taken.isprintable()
        assert " " not in taken
        assert "\\" not in taken
        assert not {".", "..", ""} & set(parts.path.split("/")[1:])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cdn.example.com/a", "begin with http"),
        ("//cdn.example.com", "begin with http"),
        ("ftp://cdn.example.com", "begin with http"),
        ("https://", "names no host"),
        ("https:///a", "names no host"),
        ("https://a..b", "names no host"),
        ("https://u:p@cdn", "password"),
        ("https://cdn/?", "query"),
        ("https://cdn/a?b=c", "query"),
        ("https://cdn/#", "fragment"),
        ("https://cdn:0", "port"),
        ("https://cdn:65536", "port"),
        ("https://cdn:", "port"),
        ("https://cdn:80a", "port"),
        ("https://cdn//a", "//"),
        ("https://cdn/a/../b", "step"),
        ("https://cdn/a/%2e%2e/b", "encoded"),
        ("https://cdn/a%2Fb", "encoded"),
        ("https://cdn/a%5Cb", "encoded"),
        ("https://cdn/a\\b", "percent-encoded"),
        ("https://cdn/%zz", "percent-encoded"),
        ("https://cdn/a b", "space"),
        (" https://cdn", "space"),
        ("https://cdn\r\nX: y", "control"),
        ("https://bücher.example", "ASCII"),
        ("https://[::1", "IPv6"),
        ("https://[::1]:9000/a", "no Content-Security-Policy can name"),
        ("https://a_b.example/a", "no Content-Security-Policy can name"),
    ],
)
def test_wrong_urls_are_refused_in_words(text: str, reason: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        validators.cdn_url(text)


def test_addresses_are_hosts() -> None:
    """IPv4 and IPv6 addresses stand for a host, with and without a port; a CDN's is one that a policy can name."""
    for url in ("http://127.0.0.1:9000/b", "http://[::1]", "http://[::1]:9000"):
        assert validators.web_url(url).geturl() == url
    assert validators.cdn_url("http://127.0.0.1:9000/b") == "http://127.0.0.1:9000/b"


@pytest.mark.parametrize("text", ["", "a", "eu-west_1", "A" * 64])
def test_cluster_ids(text: str) -> None:
    """A cluster's name is short and plain, or empty."""
    assert validators.cluster_id(text) == text


@pytest.mark.parametrize("text", ["a b", "a/b", "é", "a\n", "A" * 65, "."])
def test_wrong_cluster_ids(text: str) -> None:
    """What could not stand in a file name or a cookie is refused."""
    with pytest.raises(ValueError, match="other characters"):
        validators.cluster_id(text)


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), (" t ", True), ("1", True), ("false # no", False), ("F", False)]
)
def test_booleans_are_upstreams(text: str, value: bool) -> None:
    """Words and comments are read as upstream's getboolean reads them."""
    assert validators.boolean(text) is value
    with pytest.raises(ValueError, match="neither"):
        validators.boolean("x" + text)


@pytest.mark.parametrize(("text", "seconds"), [("15", 15), ("1", 1), ("2.5", 2.5)])
def test_cdn_check_interval(text: str, seconds: float) -> None:
    """Seconds, whole or not."""
    assert validators.cdn_check_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "0", "15.1", "-1", "nan", "inf"])
def test_wrong_cdn_check_interval(text: str) -> None:
    """What would hide an outage for a minute, or hammer the CDN, is refused."""
    with pytest.raises(ValueError, match="it is"):
        validators.cdn_check_interval(text)


def test_same_site() -> None:
    """An airflow.cfg that Airflow 1.10.15 wrote holds the key without a value: it must not switch the guard off."""
    assert [validators.same_site(text) for text in ("", "Strict", "None")] == ["Lax", "Strict", "None"]
    with pytest.raises(ValueError, match="none of the policies"):
        validators.same_site("lax")


def test_addresses_to_listen_on() -> None:
    """An address, never a name, which might come to mean another one."""
    assert [validators.address(text) for text in ("0.0.0.0", "::", "127.0.0.1")] == ["0.0.0.0", "::", "127.0.0.1"]
    for text in ("", "localhost", "10.0.0.0/8", "127.0.0.1:80", "[::1]"):
        with pytest.raises(ValueError, match="no IP address"):
            validators.address(text)
