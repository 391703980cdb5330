"""What the wheel says of itself, and what tools that check wheels say of it."""

from __future__ import annotations

import email.message
import email.parser
import sys
import zipfile
from pathlib import Path

import pytest
from harness.environments import ROOT, release, run

from builder.compress import SUFFIXES
from builder.index import fetch
from builder.manifest import Manifest
from builder.pipeline import open_line
from builder.wheel import MODIFICATIONS, compare, unexplained
from builder.workspace import Workspace

pytestmark = [pytest.mark.slow]

# Why check-wheel-contents need not complain of these.
ALLOWED = {
    "W004": "a migration's file is named by its revision, and alembic loads it by its path",
    "W002": "upstream has files that are the same in several places, empty __init__.py and the like",
    "W009": "the overlay is a package of its own beside Airflow's: it must never shadow a path of upstream's",
}


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / release().wheel_name


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as bundle:
        name = next(name for name in bundle.namelist() if name.endswith(".dist-info/METADATA"))
        return email.parser.BytesParser().parsebytes(bundle.read(name))


def test_metadata(metadata: email.message.Message) -> None:
    """Name, version, Pythons, licence, and the extras that the lock covers."""
    assert metadata["Name"] == "apache-airflow"
    assert metadata["Version"] == "1.10.15+svc.1"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(release().extras) <= set(metadata.get_all("Provides-Extra", []))
    required = " ".join(metadata.get_all("Requires-Dist", [])).lower()
    assert "appbuilder" not in required
    # A requirement from an address instead of the index would make it unfit for a mirror.
    assert "@" not in required


def test_licence_files(wheel: Path, metadata: email.message.Message) -> None:
    """The licence, the notice, and the statement of what was changed are in the wheel."""
    named = set(metadata.get_all("License-File", []))
    assert {"LICENSE", "NOTICE", MODIFICATIONS} <= named
    with zipfile.ZipFile(wheel) as bundle:
        folder = f"apache_airflow-{release().full_version}.dist-info/licenses"
        assert {f"{folder}/{name}" for name in named} <= set(bundle.namelist())
        stated = bundle.read(f"{folder}/{MODIFICATIONS}").decode()
    assert "airflow/bin/cli.py: " in stated
    assert "not a release of the Apache Software Foundation" in stated


def test_twine_accepts_it(wheel: Path) -> None:
    """The description renders, and the metadata is valid."""
    run([sys.executable, "-m", "twine", "check", "--strict", wheel])


def test_contents_are_sound(wheel: Path) -> None:
    """Nothing is in the wheel that should not be, but for the exceptions above."""
    run([sys.executable, "-m", "check_wheel_contents", "--no-config", f"--ignore={','.join(ALLOWED)}", wheel])


def test_files_against_upstream(wheel: Path) -> None:
    """Every file that differs from upstream's wheel is accounted for, and the wheel is the smaller one."""
    source = release().references[0]
    workspace = Workspace(ROOT)
    reference = fetch([source], workspace.downloads)[source.file]
    line = open_line(workspace, release())
    difference = compare(wheel, reference)
    manifest = Manifest.load((wheel.parent / f"manifest-{release().full_version}.json").read_bytes())
    names = [
        f"{entry.name}{suffix}"
        for entry in manifest.assets.values()
        for suffix in ["", *(SUFFIXES[encoding] for encoding in entry.encodings)]
    ]
    bundle = [f"airflow_service/static/a/{name}" for name in names]
    ours = [*line.overlay, *bundle, "airflow_service/static/manifest.json"]
    originals = {f"airflow/www/{logical}" for logical in manifest.assets if logical.startswith("static/")}
    assert unexplained(difference, release(), line.series, ours, originals) == []
    assert originals & set(difference.removed)
    assert difference.added
    assert difference.removed
    assert {name.split("/")[0] for name in difference.added} <= {
        "airflow",
        "airflow_service",
        "dist-info",
        "data",
    }
    assert wheel.stat().st_size < 0.9 * reference.stat().st_size


def test_commands_are_installed(wheel: Path) -> None:
    """`airflow` as upstream installs it, and `airflow-service`."""
    with zipfile.ZipFile(wheel) as bundle:
        names = bundle.namelist()
        entries = next(name for name in names if name.endswith("entry_points.txt"))
        assert "airflow-service = " in bundle.read(entries).decode()
    assert [name for name in names if name.endswith(".data/scripts/airflow")]
