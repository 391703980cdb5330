"""[webserver] base_url: what is taken, in which spelling, and what is refused in which words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow_service import config, start
from airflow_service.base_url import OWN_PATHS, BaseUrl
from airflow_service.errors import WrongSettings
from airflow_service.sources import Configuration
from hypothesis import given
from hypothesis import strategies as st

_URL_LIKE = st.text(st.sampled_from("htps:/@?#.%[]\\2fFeE0a \t\néA-;&~'\""), max_size=30)


@pytest.mark.parametrize(
    ("text", "host", "prefix"),
    [
        ("http://localhost:8080", "localhost:8080", ""),
        ("http://localhost:8080/", "localhost:8080", ""),
        ("https://Host.Example/Airflow-1/", "host.example", "/Airflow-1"),
        ("HTTPS://host:443/b", "host", "/b"),
        ("http://host:80", "host", ""),
        ("http://host:443/b/b.c_d~e", "host:443", "/b/b.c_d~e"),
        ("http://[::1]:8080/b", "[::1]:8080", "/b"),
        ("http://[::1]", "[::1]", ""),
        ("http://h/administration", "h", "/administration"),
        ("http://h/admin-1/admin", "h", "/admin-1/admin"),
        ("http://h/api/airflow", "h", "/api/airflow"),
    ],
)
def test_one_spelling(text: str, host: str, prefix: str) -> None:
    """The scheme's own port, upper case in the host, and a slash at the end go."""
    taken = BaseUrl.parse(text)
    assert (taken.host, taken.prefix) == (host, prefix)
    assert BaseUrl.parse(str(taken)) == taken
    assert str(taken) == taken.origin + prefix


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begin with http"),
        ("host/airflow", "begin with http"),
        ("//host/airflow", "begin with http"),
        ("/airflow", "begin with http"),
        ("ftp://host", "begin with http"),
        ("http://", "names no host"),
        ("http:///airflow", "names no host"),
        ("http://host/a?b=c", "query"),
        ("http://host/a?", "query"),
        ("http://host/a#b", "fragment"),
        ("http://ann:secret@host/a", "password"),
        ("http://host//a", "//"),
        ("http://host/a//", "//"),
        ("http://host/a/../b", "step"),
        ("http://host/..", "step"),
        ("http://host/./a", "step"),
        ("http://host/a%2Fb", "encoded"),
        ("http://host/a%5cb", "encoded"),
        ("http://host/%2e%2e/b", "encoded"),
        ("http://host/a%20b", "other characters"),
        ("http://host/a;b", "other characters"),
        ("http://host/a'b", "other characters"),
        ("http://host/{{x}}", "percent-encoded"),
        ("http://host/a\\b", "percent-encoded"),
        ("http://host/é", "ASCII"),
        ("http://hôst/", "ASCII"),
        ("http://host/a b", "space"),
        ("http://host/a\r\nX: y", "control"),
        ("http://host:0/a", "port"),
        ("http://host:99999/a", "port"),
        ("http://host/admin", "overlaps /admin"),
        ("http://host/admin/", "overlaps /admin"),
        ("http://host/admin/eu", "overlaps /admin"),
        ("http://host/static", "overlaps /static"),
        ("http://host/health", "overlaps /health"),
        ("http://host/api", "overlaps /api/experimental"),
        ("http://host/api/experimental", "overlaps /api/experimental"),
    ],
)
def test_wrong_ones_are_refused_in_words(text: str, reason: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        BaseUrl.parse(text)


@given(st.text() | _URL_LIKE.map("https://h/".__add__) | _URL_LIKE.map("http://".__add__))
def test_what_is_taken_is_plain(text: str) -> None:
    """Nothing but ValueError comes out, and what is taken needs no escaping anywhere."""
    try:
        taken = BaseUrl.parse(text)
    except ValueError:
        return
    assert BaseUrl.parse(str(taken)) == taken
    assert re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", taken.prefix)
    assert not {".", ".."} & set(taken.prefix.split("/"))
    assert not any(f"{taken.prefix}/".startswith(f"{own}/") for own in OWN_PATHS)
    assert not re.search(r"[@/?#\s]", taken.host)


def _read(home: Path, cfg: str = "", **environment: str) -> Configuration:
    (home / "airflow.cfg").write_text(cfg, encoding="utf-8")
    return Configuration.read({"AIRFLOW_HOME": str(home), **environment})


def test_upstreams_keys_are_checked_with_our_own(tmp_path: Path) -> None:
    """All faults of both sections at once, each with its source, and no password."""
    wrong = {
        "AIRFLOW__WEBSERVER__BASE_URL": "https://ann:hunter2@host/",
        "AIRFLOW__SERVICE__CLUSTER_ID": "a b",
    }
    cfg = "[webserver]\ncookie_samesite = Loose\ncookie_secure = maybe\nworkers = 4\n"
    with pytest.raises(WrongSettings) as caught:
        config.check(_read(tmp_path, cfg, **wrong))
    told = str(caught.value)
    assert "[service] cluster_id" in told
    assert "[webserver] base_url = 'https://ann:***@host/'  (environment variable" in told
    assert f"[webserver] cookie_samesite = 'Loose'  ({tmp_path / 'airflow.cfg'})" in told
    assert "[webserver] cookie_secure = 'maybe'" in told
    assert len(caught.value.faults) == 4
    assert "hunter2" not in told


def test_a_cookie_that_browsers_refuse_stops_the_start(tmp_path: Path) -> None:
    """SameSite=None is for Secure cookies alone: of an https page, or by the setting."""
    cross_site = "[webserver]\ncookie_samesite = None\nbase_url = {}://host/b\n"
    with pytest.raises(WrongSettings, match=r"cookie_samesite = None .*\n.*unless it is Secure"):
        config.check(_read(tmp_path, cross_site.format("http")))
    config.check(_read(tmp_path, cross_site.format("https")))
    config.check(_read(tmp_path, cross_site.format("http") + "cookie_secure = True\n"))


def test_upstreams_other_keys_are_its_own(tmp_path: Path) -> None:
    """Keys that we do not read are neither known nor wrong."""
    section = config.read_webserver_section(_read(tmp_path, "[webserver]\nworkers = x\nnew_key = 1\n"))
    assert str(section.settings.base_url) == "http://localhost:8080"
    config.check(_read(tmp_path, "[webserver]\nnew_key = 1\nbase_url = https://h/b/\n"))


def test_a_wrong_base_url_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 78 and one message, as for our own section."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    monkeypatch.setenv("AIRFLOW__WEBSERVER__BASE_URL", "host/airflow")
    with pytest.raises(SystemExit) as caught:
        start.stop_on_wrong_settings("webserver")
    assert caught.value.code == 78
    assert "[webserver] base_url = 'host/airflow'" in capsys.readouterr().err
