"""The wheel that setuptools makes of the patched tree."""

from __future__ import annotations

import configparser
import runpy
import shutil
import subprocess
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow

pytestmark = pytest.mark.every_python

_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
_CHECK = """
import sys
from importlib.metadata import version
from packaging.requirements import Requirement

for line in sys.stdin.read().splitlines():
    wanted = Requirement(line)
    if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
        assert wanted.specifier.contains(version(wanted.name)), (line, version(wanted.name))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path) -> Path:
    """A wheel built of a copy of the tree, without its local git and caches."""
    place = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".git", "__pycache__", "build", "dist")
    source = shutil.copytree(airflow_tree, place / "source", ignore=ignored)
    argv = [str(airflow_interpreter), "-W", "error::DeprecationWarning:setuptools", "-c", _BUILD, str(place)]
    done = subprocess.run(argv, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is absent from the `packages` configuration" not in done.stdout + done.stderr
    (path,) = place.glob("*.whl")
    return path


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


def test_metadata(wheel: Path, airflow_tree: Path) -> None:
    """Name, version, Python and licence are what the distribution says it is."""
    version = runpy.run_path(str(airflow_tree / "airflow_service" / "_version.py"))["VERSION"]
    assert wheel.name == f"apache_airflow-{version}-py3-none-any.whl"
    metadata = _metadata(wheel)
    assert (metadata["Name"], metadata["Version"]) == ("apache-airflow", version)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {"LICENSE", "NOTICE"} <= set(metadata.get_all("License-File", []))
    assert metadata["Download-URL"] == f"https://archive.apache.org/dist/airflow/{version.partition('+')[0]}"


def test_wheel_contents(wheel: Path) -> None:
    """The wheel has the UI's files, our package, and neither the other UI nor tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    expected = {
        "airflow/alembic.ini",
        "airflow/config_templates/default_airflow.cfg",
        "airflow/serialization/schema.json",
        "airflow/www/static/main.css",
        "airflow/www/templates/airflow/variables/README.md",
        "airflow_service/_version.py",
    }
    assert expected - set(names) == set()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if "." not in top} == {"airflow", "airflow_service"}
    unwanted = ("airflow/www_rbac", "airflow/git_version", "kubernetes_tests")
    unwanted += ("airflow/www/static/airflow.gif", "airflow/www/static/screenshots")
    assert not [name for name in names if name.startswith(unwanted) or name.endswith(".pyc")]


def test_requirements(wheel: Path, airflow: PatchedAirflow) -> None:
    """The environment that the tests run in is one that the wheel allows, and nothing of FAB is asked for."""
    required = _metadata(wheel).get_all("Requires-Dist", [])
    names = {line.lower().split(";")[0].rstrip("<>=!~., 0123456789").strip() for line in required}
    assert names.isdisjoint({"flask-appbuilder", "marshmallow-sqlalchemy", "funcsigs", "configparser"})
    argv = [str(airflow.interpreter), "-c", _CHECK]
    done = subprocess.run(argv, input="\n".join(required), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_modifications_are_among_the_licences(airflow_tree: Path) -> None:
    """The wheel carries the list of changed files that the build writes, as the licence asks."""
    settings = configparser.ConfigParser()
    settings.read(airflow_tree / "setup.cfg")
    assert "licenses/MODIFICATIONS.txt" in settings["metadata"]["license_files"].split()
