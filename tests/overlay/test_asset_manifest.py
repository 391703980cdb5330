"""Tests of airflow_service.asset_manifest: an installation is whole, or says what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_service import start
from airflow_service.asset_manifest import installed_manifest
from airflow_service.errors import BrokenInstallation

NAME = "main.0123456789abcdef0123.css"
ENTRY = {
    "name": NAME,
    "size": 4,
    "type": "text/css; charset=utf-8",
    "sha256": "0" * 64,
    "integrity": "sha384-" + "A" * 64,
    "encodings": {},
}


def document(**changes: Any) -> dict[str, Any]:
    whole = {"format": 1, "version": "1.10.15+svc.1", "assets": {"static/main.css": ENTRY}, "groups": {}}
    return {**whole, **changes}


def install(folder: Path, content: str) -> Path:
    (folder / "a").mkdir(parents=True)
    (folder / "a" / NAME).write_bytes(b"p{}\n")
    (folder / "manifest.json").write_text(content)
    return folder


def test_a_whole_installation(tmp_path: Path) -> None:
    """Each asset by its logical name, the groups, and the file as it is for comparison with the CDN's."""
    content = json.dumps(document(groups={"ace": {"ace/mode/sql": "static/main.css"}}))
    manifest = installed_manifest(install(tmp_path / "static", content))
    assert manifest is not None
    assert manifest.assets["static/main.css"].name == NAME
    assert manifest.groups == {"ace": {"ace/mode/sql": "static/main.css"}}
    assert manifest.content == content.encode()


def test_a_tree_has_none(tmp_path: Path) -> None:
    """No wheel was built from it: nothing is wrong, and nothing is hashed."""
    assert installed_manifest(tmp_path / "airflow_service" / "static") is None


def test_an_installation_that_lost_all_of_them(tmp_path: Path) -> None:
    """A wheel whose whole folder is gone is no tree: pages without a single script would be the result."""
    (tmp_path / "apache_airflow-1.10.15+svc.1.dist-info").mkdir()
    with pytest.raises(BrokenInstallation, match="folder of the assets is missing"):
        installed_manifest(tmp_path / "airflow_service" / "static")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cut short"),
        (json.dumps(document())[:-20], "cut short"),
        ("[" * 100_000, "cut short"),
        ("[]", "format None"),
        (json.dumps(document(format=2)), "format 2; this version reads 1"),
        (json.dumps(document(version="1.10.15+svc.2")), "manifest of '1.10.15+svc.2', but this is 1.10.15+svc.1"),
        (json.dumps(document(assets=[])), "lacks something"),
        (json.dumps(document(assets={"static/main.css": {}})), "lacks something"),
        (json.dumps(document(assets={"static/main.css": {**ENTRY, "name": 3}})), "lacks something"),
        (json.dumps(document(assets={"static/main.css": {**ENTRY, "name": "../x"}})), "wrongly: '../x'"),
        (json.dumps(document(assets={"static/main.css": {**ENTRY, "size": "4"}})), "wrongly"),
        (json.dumps(document(assets={"static/main.css": {**ENTRY, "type": "a\nb"}})), "wrongly"),
        (json.dumps(document(assets={"static/main.css": {**ENTRY, "integrity": 'sha384-"'}})), "no sha384"),
        (json.dumps(document(groups={"ace": {"ace/mode/x": "static/x.js"}})), "'static/x.js', which is no asset"),
        (json.dumps(document(assets={"static/main.css": {**ENTRY, "size": 5}})), "4 bytes, not 5"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_wrong_manifest(tmp_path: Path, content: str, message: str) -> None:
    """Cut short, of another version, of an unknown format, or not as the files are."""
    with pytest.raises(BrokenInstallation) as caught:
        installed_manifest(install(tmp_path / "static", content))
    assert message in str(caught.value)
    assert "next: install the wheel anew" in str(caught.value)


def remove_file(folder: Path) -> None:
    (folder / "a" / NAME).unlink()


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [(remove_file, f"{NAME}: No such file"), (remove_manifest, "manifest.json: No such file")],
)
def test_missing_files(tmp_path: Path, break_it: Callable[[Path], None], message: str) -> None:
    """What is gone is named."""
    folder = install(tmp_path / "static", json.dumps(document()))
    break_it(folder)
    with pytest.raises(BrokenInstallation, match=message):
        installed_manifest(folder)


def test_the_webserver_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken installation ends `airflow webserver` with 78; what serves no pages goes on."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr("airflow_service.asset_manifest.FOLDER", install(tmp_path / "static", "{"))
    start.stop_on_wrong_settings("scheduler")
    with pytest.raises(SystemExit) as caught:
        start.stop_on_wrong_settings("webserver")
    assert caught.value.code == 78
    assert "airflow webserver: not started, for this installation is broken" in capsys.readouterr().err
