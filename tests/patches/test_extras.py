"""The wheel offers the extras that can be installed and imported on the supported Pythons."""

from __future__ import annotations

import json

import pytest
from airflow_process import PatchedAirflow

pytestmark = pytest.mark.every_python

READ_EXTRAS = """
import json, os, runpy, sys, setuptools
setuptools.setup = lambda **given: None
os.chdir(sys.argv[1])
print(json.dumps(runpy.run_path('setup.py')['EXTRAS_REQUIREMENTS']))
"""
# Dead, or an SDK whose hooks were written for a version that cannot run here; see docs/extras.md.
GONE = {
    "all", "apache.hdfs", "azure", "azure_blob_storage", "azure_container_instances", "azure_cosmos",
    "azure_data_lake", "cgroups", "cloudant", "devel", "devel_all", "devel_azure", "devel_ci", "devel_hadoop",
    "doc", "gcp", "gcp_api", "github_enterprise", "google", "google_auth", "hdfs", "microsoft.azure", "oracle",
}  # fmt: skip
KEPT = {
    "aws",
    "celery",
    "docker",
    "hashicorp",
    "kubernetes",
    "mysql",
    "postgres",
    "qds",
    "redis",
    "slack",
    "ssh",
    "statsd",
}


def test_extras_can_be_installed(airflow: PatchedAirflow) -> None:
    """No extra names a package that was dropped, and none is for the release's own developers."""
    done = airflow.run(str(airflow.interpreter), "-c", READ_EXTRAS, str(airflow.tree))
    extras = json.loads(done.stdout)
    assert not GONE & extras.keys()
    assert extras.keys() >= KEPT
    required = " ".join(requirement for extra in extras.values() for requirement in extra).lower()
    for dead in (
        "pysftp",
        "slackclient",
        "snakebite",
        "flask-oauthlib",
        "cx_oracle",
        "cloudant",
        "google-cloud",
    ):
        assert dead not in required


def test_a_missing_package_is_named(airflow: PatchedAirflow) -> None:
    """The modules of an extra that went are still here, and say which package they miss."""
    airflow.python(
        "import importlib\n"
        "for module, package in {'airflow.contrib.hooks.gcs_hook': 'google',\n"
        "                        'airflow.hooks.oracle_hook': 'cx_Oracle',\n"
        "                        'airflow.hooks.hdfs_hook': 'snakebite',\n"
        "                        'airflow.contrib.hooks.cloudant_hook': 'cloudant'}.items():\n"
        "    try:\n        importlib.import_module(module)\n"
        "    except ImportError as missing:\n        assert package in str(missing), missing\n"
        "    else:\n        assert package == 'snakebite', 'imports: ' + module\n"
    )


def test_only_the_reference_gateway_needs_authlib(airflow: PatchedAirflow) -> None:
    """Every node can verify an assertion; what logs users in is an extra of its own."""
    script = READ_EXTRAS.replace("['EXTRAS_REQUIREMENTS']", "").replace(
        "json.dumps(", "(lambda setup: json.dumps([setup['INSTALL_REQUIREMENTS'], setup['EXTRAS_REQUIREMENTS']]))("
    )
    done = airflow.run(str(airflow.interpreter), "-c", script, str(airflow.tree))
    everywhere, extras = json.loads(done.stdout)
    assert any(requirement.startswith("pyjwt>=") for requirement in everywhere)
    assert not any("authlib" in requirement for requirement in everywhere)
    assert [requirement.partition(">=")[0] for requirement in extras["gateway"]] == ["authlib"]
