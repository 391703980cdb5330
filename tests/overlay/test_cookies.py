"""Cookies: a name and a path for each cluster, and attributes that fit base_url."""

from __future__ import annotations

import re

import pytest
from airflow_service.base_url import BaseUrl
from airflow_service.cookies import settings_for
from airflow_service.options import ServiceSettings, WebserverSettings


def _made(base_url: str, cluster_id: str = "", **webserver: object) -> dict[str, object]:
    settings = WebserverSettings(base_url=BaseUrl.parse(base_url), **webserver)  # type: ignore[arg-type]
    return settings_for(settings, ServiceSettings(cluster_id=cluster_id))


@pytest.mark.parametrize("kind", ["SESSION", "REMEMBER"])
def test_attributes(kind: str) -> None:
    """Only below the prefix, not for scripts, not from other sites."""
    made = _made("https://host/airflow-1/", "eu_1")
    assert made[f"{kind}_COOKIE_NAME"] == f"airflow_{kind.lower()}_eu_1"
    assert made[f"{kind}_COOKIE_PATH"] == "/airflow-1"
    assert made[f"{kind}_COOKIE_HTTPONLY"] is True
    assert made[f"{kind}_COOKIE_SECURE"] is True
    assert made[f"{kind}_COOKIE_SAMESITE"] == "Lax"
    assert _made("http://host")[f"{kind}_COOKIE_PATH"] == "/"


def test_secure_follows_the_scheme_or_the_setting() -> None:
    """A cookie of an https page is Secure without being told; one of an http page if told."""
    assert _made("http://host")["SESSION_COOKIE_SECURE"] is False
    assert _made("http://host", cookie_secure=True)["SESSION_COOKIE_SECURE"] is True
    assert _made("https://host", cookie_secure=False)["SESSION_COOKIE_SECURE"] is True


def test_names_differ_between_clusters() -> None:
    """By cluster_id, and without it by the whole of base_url, ports included."""
    urls = [
        "https://h/c",
        "https://h/b",
        "https://h/c/b",
        "http://h/c",
        "http://h:81",
        "http://h:82",
        "http://h",
    ]
    names = [str(_made(url)["SESSION_COOKIE_NAME"]) for url in urls]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"airflow_session_[0-9a-f]{8}", name) for name in names)
    assert _made("https://h/c/")["SESSION_COOKIE_NAME"] == names[0]
