"""Tests of airflow_service.gateway.listening and .key_file: what a webserver finds of itself and of its keys."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from airflow_service import start
from airflow_service.errors import WrongSettings
from airflow_service.gateway import listening
from airflow_service.gateway.key_file import file_fault
from airflow_service.gateway.key_set import NoKeys
from airflow_service.gateway.key_source import Fetcher
from airflow_service.gateway.options import KeySource
from airflow_service.gateway.settings import check_key_file
from airflow_service.sources import Configuration
from harness.assertions import Gateway, base64url, service_settings


def test_a_server_started_by_itself_looks_at_its_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gunicorn was told by hand is not in the configuration; other programs listen as they like."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert list(listening._own_hosts()).count("127.0.0.1") == 1
        monkeypatch.setenv("SERVER_SOFTWARE", "gunicorn/23.0.0")
        listening.check_own_sockets()
        # No test listens on all addresses.
        monkeypatch.setattr(listening, "_own_hosts", lambda: ["127.0.0.1", "0.0.0.0"])
        with pytest.raises(WrongSettings, match="gunicorn's --bind"):
            listening.check_own_sockets()
        monkeypatch.delenv("SERVER_SOFTWARE")
        listening.check_own_sockets()


@pytest.mark.parametrize(
    ("mode", "folder", "secret", "wrong"),
    [
        (0o644, 0o755, False, None),
        (0o664, 0o775, False, None),
        (0o646, 0o755, False, "can write it"),
        (0o644, 0o777, False, "another file in its place"),
        (0o644, 0o1777, False, None),
        (0o640, 0o755, True, None),
        (0o644, 0o755, True, "can read it"),
    ],
)
def test_keys_that_others_could_change_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, folder: int, secret: bool, wrong: str | None
) -> None:
    """The webserver does not start with them, and one that runs takes them no more."""
    place = tmp_path / "keys"
    place.mkdir()
    keys = Gateway(("ES256",)).publish(place / "keys.json")
    if secret:
        keys.write_text(json.dumps({"keys": [{"kty": "oct", "k": base64url(b"k" * 32)}]}))
    keys.chmod(mode)
    place.chmod(folder)
    environment = service_settings(keys, gateway_algorithms="HS256" if secret else "ES256")
    for name, value in {**environment, "AIRFLOW_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW__WEBSERVER__WEB_SERVER_HOST", "127.0.0.1")
    monkeypatch.setattr(start, "installed_manifest", lambda: None)
    fetcher = Fetcher(KeySource(path=str(keys)))
    if wrong is None:
        assert file_fault(str(keys), secret=secret) is None
        start.stop_on_wrong_settings("webserver")
        assert fetcher.all().keys
        return
    with pytest.raises(WrongSettings, match=wrong):
        check_key_file(Configuration.read())
    with pytest.raises(SystemExit):
        start.stop_on_wrong_settings("webserver")
    with pytest.raises(NoKeys, match=wrong):
        fetcher.all()
