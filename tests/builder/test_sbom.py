"""Tests of builder.sbom: valid CycloneDX, complete, the same bytes each time."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from builder.libraries import Library
from builder.records import Dependency, Output
from builder.release import load_release
from builder.sbom import render_sbom
from builder.series import Series, load_series, patch_text

SAMPLE = Path(__file__).parents[1] / "samples" / "records" / "2.0"
MAIN = "pkg:pypi/made-up@2.0%2Bsvc.3"
DEPENDENCIES = (
    Dependency("flask", "3.1", ("1" * 64, "2" * 64), ("3.11", "3.12")),
    Dependency("numpy", "2.1", ("3" * 64,), ("3.11",)),
    Dependency("numpy", "2.2", ("4" * 64,), ("3.12",)),
)
LIBRARIES = (
    Library("d3", "3.5", "BSD-3-Clause", "pkg:npm/d3@3.5.0", ("static/d3.js",), False),
    Library("jQuery", "3.5", "MIT OR GPL-2.0-only", "pkg:npm/jquery@3.5.1", ("static/all.js",), True),
    Library("Sizzle", "2.3", "MIT", "pkg:npm/sizzle@2.3.0", ("static/all.js",), True, "upstream's LICENSE"),
)


def text(series: Series | None = None) -> str:
    return render_sbom(
        load_release(SAMPLE),
        series or load_series(SAMPLE),
        wheel=Output("made_up-2.0+svc.3-py3-none-any.whl", 9, "9" * 64),
        bundle=Output("made-up-assets.tar.gz", 8, "8" * 64),
        dependencies=DEPENDENCIES,
        requires={"made-up": ["Flask"], "flask": ["numpy"]},
        libraries=LIBRARIES,
    )


@pytest.fixture(scope="module")
def bom() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(text())
    return made


def graph(bom: dict[str, Any]) -> dict[str, list[str]]:
    return {node["ref"]: node.get("dependsOn", []) for node in bom["dependencies"]}


@pytest.mark.slow
def test_it_is_valid() -> None:
    """CycloneDX's own schema, read strictly, accepts the document."""
    # Its import takes longer than all that is tested here, and would be each worker's.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text()) is None


def test_it_is_reproducible() -> None:
    """The same inputs give the same bytes; another patch gives another serial number."""
    assert text() == text()
    fewer = text(Series(SAMPLE, load_series(SAMPLE).patches[:1]))
    assert json.loads(fewer)["serialNumber"] != json.loads(text())["serialNumber"]
    assert json.loads(text())["metadata"]["timestamp"] == "2020-09-13T12:26:40+00:00"


def test_main_component_is_the_wheel(bom: dict[str, Any]) -> None:
    """The wheel is named by its version and purl, with its hash and upstream as ancestor."""
    main = bom["metadata"]["component"]
    assert (main["version"], main["purl"]) == ("2.0+svc.3", MAIN)
    assert main["hashes"] == [{"alg": "SHA-256", "content": "9" * 64}]
    [ancestor] = main["pedigree"]["ancestors"]
    assert (ancestor["version"], ancestor["hashes"][0]["content"]) == ("2.0", "a" * 64)


def test_every_patch_is_in_the_pedigree(bom: dict[str, Any]) -> None:
    """Patches are there whole, with their kind and the advisories that they resolve."""
    found = {patch["diff"]["url"]: patch for patch in bom["metadata"]["component"]["pedigree"]["patches"]}
    for patch in load_series(SAMPLE):
        assert found[f"patches/2.0/{patch.name}"]["diff"]["text"]["content"] == patch_text(patch)
    quote = found["patches/2.0/quote-the-origin.patch"]
    assert quote["type"] == "backport"  # Forwarded: names upstream's own fix
    assert [issue["id"] for issue in quote["resolves"]] == ["CVE-2020-13944", "CVE-2021-45229"]
    assert found["patches/2.0/drop-the-notes.patch"]["type"] == "unofficial"


def test_order_of_the_series_is_kept(bom: dict[str, Any]) -> None:
    """The format sorts patches; the notes say in which order they apply."""
    notes = bom["metadata"]["component"]["pedigree"]["notes"]
    assert notes.index("1. quote-the-origin.patch") < notes.index("2. drop-the-notes.patch")


def test_bytes_that_are_not_text_survive() -> None:
    """A patch that is not UTF-8 is attached in base64."""
    first, *rest = load_series(SAMPLE).patches
    odd = dataclasses.replace(first, diff=first.diff.replace("b = 2", "b = '\udce9'"))
    bom = json.loads(text(Series(SAMPLE, (odd, *rest))))
    texts = [patch["diff"]["text"] for patch in bom["metadata"]["component"]["pedigree"]["patches"]]
    [attached] = [one for one in texts if one.get("encoding") == "base64"]
    assert b"b = '\xe9'" in base64.b64decode(attached["content"])


def test_dependencies_carry_the_locks_hashes(bom: dict[str, Any]) -> None:
    """Each locked version is a component; the hashes of its files are the lock's."""
    flask = next(one for one in bom["components"] if one.get("purl") == "pkg:pypi/flask@3.1")
    [files] = flask["externalReferences"]
    assert [value["content"][0] for value in files["hashes"]] == ["1", "2"]
    assert flask["properties"] == [{"name": "airflow-service:python", "value": "3.11, 3.12"}]


def test_graph_is_what_is_known(bom: dict[str, Any]) -> None:
    """The wheel depends on what it asks for, on the bundle, and on libraries only it has."""
    nodes = graph(bom)
    bundle = "file:made-up-assets.tar.gz"
    assert nodes[MAIN] == ["asset:static/d3.js#d3@3.5", bundle, "pkg:pypi/flask@3.1"]
    assert nodes["pkg:pypi/flask@3.1"] == ["pkg:pypi/numpy@2.1", "pkg:pypi/numpy@2.2"]
    assert nodes[bundle] == ["asset:static/all.js#Sizzle@2.3", "asset:static/all.js#jQuery@3.5"]


def test_bundle_names_the_wheels_it_comes_from(bom: dict[str, Any]) -> None:
    """The bundle's ancestors are upstream's sdist and the asset wheel, with their hashes."""
    bundle = next(one for one in bom["components"] if one["name"] == "airflow-assets")
    hashes = [one["hashes"][0]["content"][0] for one in bundle["pedigree"]["ancestors"]]
    assert hashes == ["a", "b"]


def test_libraries_have_version_and_licence(bom: dict[str, Any]) -> None:
    """A script library has purl, licence and files, and who stated a version not in the file."""
    found = {one["name"]: one for one in bom["components"]}
    assert found["jQuery"]["licenses"] == [{"expression": "MIT OR GPL-2.0-only"}]
    assert found["d3"]["purl"] == "pkg:npm/d3@3.5.0"
    stated = {"name": "airflow-service:version-stated-by", "value": "upstream's LICENSE"}
    assert stated in found["Sizzle"]["properties"]
