"""Tests of airflow_service.doctor.assets: this installation's assets, and the CDN's, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_service.doctor import assets
from airflow_service.doctor.findings import Fact, Finding
from airflow_service.sources import Configuration
from harness.origin import Origin, serving_origin

NAME = "main.0123456789abcdef0123.css"
ENTRY = {"name": NAME, "size": 4, "type": "text/css; charset=utf-8", "integrity": "sha384-" + "A" * 64}
MANIFEST = {"format": 1, "version": "1.10.15+svc.1", "assets": {"static/main.css": ENTRY}, "groups": {}}


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    """The installation's own files on a CDN."""
    folder = tmp_path / "static"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / NAME).write_bytes(b"p{}\n")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    monkeypatch.setattr("airflow_service.asset_manifest.FOLDER", folder)
    with serving_origin(folder) as served:
        yield served


def examined(check: Callable[[Configuration], Any], folder: Path, url: str) -> tuple[list[Finding], str]:
    """Findings, and all facts as text."""
    cfg = f"[service]\ncdn_url = {url}\n[webserver]\nbase_url = https://flow.example.com/airflow-1\n"
    (folder / "airflow.cfg").write_text(cfg)
    yielded = list(check(Configuration.read({"AIRFLOW_HOME": str(folder)})))
    facts = " ".join(f"{one.name}: {one.value}" for one in yielded if isinstance(one, Fact))
    return [one for one in yielded if isinstance(one, Finding)], facts


def test_a_cdn_that_has_all(origin: Origin, tmp_path: Path) -> None:
    """The manifest is there, and pages of another origin may use it."""
    findings, facts = examined(assets.cdn, tmp_path, origin.url)
    assert findings == []
    assert "(found)" in facts
    assert "cross-origin use: allowed (*)" in facts


def without_cors(origin: Origin) -> None:
    origin.cors = False


def test_another_brotli(origin: Origin, tmp_path: Path) -> None:
    """A manifest that differs in its compressed variants alone is of the same assets."""
    entry = {**ENTRY, "encodings": {"br": {"size": 1, "sha256": "1" * 64}}}
    origin.tampered["manifest.json"] = json.dumps({**MANIFEST, "assets": {"static/main.css": entry}}).encode()
    findings, _ = examined(assets.cdn, tmp_path, origin.url)
    assert findings == []


def another_build(origin: Origin) -> None:
    origin.tampered["manifest.json"] = json.dumps({**MANIFEST, "groups": {"x": {}}}).encode()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (without_cors, "does not allow pages of https://flow.example.com to use"),
        (another_build, "not the one of this installation"),
    ],
)
def test_what_is_wrong_with_a_cdn(
    origin: Origin, tmp_path: Path, spoil: Callable[[Origin], None], problem: str
) -> None:
    """Each finding has a next step that names the address."""
    spoil(origin)
    [finding], _ = examined(assets.cdn, tmp_path, origin.url)
    assert problem in finding.problem
    assert origin.url in finding.next


def test_a_manifest_without_its_assets(origin: Origin, tmp_path: Path) -> None:
    """An upload that stopped half-way is told."""
    document = json.dumps(MANIFEST).replace(NAME, NAME.replace("main", "other"))
    (tmp_path / "cdn" / "a").mkdir(parents=True)
    (tmp_path / "cdn" / "manifest.json").write_text(document)
    with serving_origin(tmp_path / "cdn") as other:
        other.tampered["manifest.json"] = (origin.folder / "manifest.json").read_bytes()
        [finding], _ = examined(assets.cdn, tmp_path, other.url)
    assert f"not the asset {other.url}/a/{NAME}: it answers 404" in finding.problem


def test_this_installation(origin: Origin, tmp_path: Path) -> None:
    """Its assets are counted; a file that is missing is named."""
    assert examined(assets.installation, tmp_path, "") == ([], "assets: 1, all there")
    (origin.folder / "a" / NAME).unlink()
    [finding], _ = examined(assets.installation, tmp_path, "")
    assert finding.problem.startswith("This installation is broken: ")
    assert NAME in finding.problem
    assert "--force-reinstall" in finding.next
