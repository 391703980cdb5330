"""Redirect targets: what a browser would take elsewhere is refused, what is ours passes as a path."""

from __future__ import annotations

import re

import pytest
from airflow_service.base_url import BaseUrl
from airflow_service.redirects import safe_path
from harness.urls import EVIL, FOREIGN, GOOD, as_browser
from hypothesis import example, given
from hypothesis import strategies as st

BASE = BaseUrl.parse("https://host.example/airflow-1")
ROOT = BaseUrl.parse("http://host.example:8080")
_SAFE = re.compile(r"/[A-Za-z0-9._~%:@!$&*+,=/-]*(\?[A-Za-z0-9._~%:@!$&*+,=/?-]*)?")
_PIECES = ["/", "\\", "//", "/airflow-1", "/airflow-1/", "airflow-2", "https:", "http://", "host.example", ":8080",
           "evil", "@", "?", "#", ".", "..", "%2e", "%2F", "%5c", "\t", "\r\n", " ", "\x00", "\x85", "'", '"', ";",
           "<", "\uff0f", "\uff0e", "\u3002", "\u2028", "\ud800", "é", "a", ":", "javascript:"]  # fmt: skip
_TARGETS = st.lists(st.sampled_from(_PIECES), max_size=8).map("".join) | st.text(max_size=20)


def _filled(target: str, base: BaseUrl) -> str:
    return (
        target.replace("{host}", base.host).replace("{prefix}", base.prefix).replace("{origin}", base.origin)
    )


@pytest.mark.parametrize("base", [BASE, ROOT], ids=str)
@pytest.mark.parametrize("target", EVIL)
def test_evil_targets_are_refused(target: str, base: BaseUrl) -> None:
    """Under a prefix and without one."""
    assert safe_path(_filled(target, base), base) is None


@pytest.mark.parametrize("target", FOREIGN)
def test_pages_of_other_clusters_are_refused(target: str) -> None:
    """They are on our host, and not ours."""
    assert safe_path(_filled(target, BASE), BASE) is None


@pytest.mark.parametrize("base", [BASE, ROOT], ids=str)
@pytest.mark.parametrize(("target", "path"), GOOD.items())
def test_own_pages_pass_as_paths(target: str, path: str, base: BaseUrl) -> None:
    """Without the host and the fragment, and with what could end a string escaped."""
    assert safe_path(_filled(target, base), base) == _filled(path, base)


def test_no_target_is_none() -> None:
    """So that the caller falls back to the index."""
    assert safe_path(None, BASE) is None
    assert safe_path("", BASE) is None


def test_names_by_which_the_client_knows_this_host_pass() -> None:
    """A tunnel, or a TLS terminator that base_url does not tell of: only the path is taken."""
    target = "https://localhost:8443/airflow-1/admin/?a=b"
    assert safe_path(target, BASE) is None
    assert safe_path(target, BASE, "LocalHost:8443") == "/airflow-1/admin/?a=b"
    assert safe_path("http://host.example/airflow-1/", BASE) is None
    assert safe_path("//localhost:8443/airflow-1/", BASE, "localhost:8443") is None


@given(
    target=_TARGETS, base=st.sampled_from([BASE, ROOT]), page=st.sampled_from(["/", "/admin/", "/admin/a/b"])
)
@example("/airflow-1/\\evil", BASE, "/")
@example("/airflow-1/?\ud800", BASE, "/")
def test_what_passes_stays_here_in_a_browser(target: str, base: BaseUrl, page: str) -> None:
    """The result, and the text that was asked about, lead below the prefix, from whatever page."""
    path = safe_path(target, base)
    if path is None:
        return
    assert _SAFE.fullmatch(path)
    assert safe_path(path, base) == path
    for link in (path, target):
        scheme, host, reached = as_browser(link, base.scheme, base.host, base.prefix + page)
        assert (scheme, host) == (base.scheme, base.host)
        assert reached == base.prefix or reached.startswith(base.prefix + "/")


@pytest.mark.parametrize(
    ("link", "host", "path"),
    [
        ("////evil", "evil", "/"),
        ("/\\evil", "evil", "/"),
        ("https:evil", "host", "/a/evil"),
        ("http:evil", "evil", "/"),
        ("http:///evil/x", "evil", "/x"),
        ("/\t/evil", "evil", "/"),
        (" \x00//evil", "evil", "/"),
        ("//u@evil", "evil", "/"),
        ("https://evil\\@host/", "evil", "/@host/"),
        ("/a/../b", "host", "/b"),
        ("/a/%2E%2e/b", "host", "/b"),
        ("?//evil", "host", "/a/page"),
        ("x", "host", "/a/x"),
        ("/x?\\\\evil", "host", "/x"),
    ],
)
def test_the_model_of_a_browser(link: str, host: str, path: str) -> None:
    """As the URL standard has it: the property above would mean nothing with a lenient model."""
    assert as_browser(link, "https", "host", "/a/page")[1:] == (host, path)
