"""The overlay, imported from the checkout, and the patched tree in subprocesses."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow, airflow, airflow_db, database_template

__all__ = ["PatchedAirflow", "airflow", "airflow_db", "database_template", "keeper", "proxy", "quick", "store"]

# The environment of the tests has no Airflow, and so no overlay installed.
sys.path.insert(0, str(Path(__file__).parents[2] / "overlay"))

from harness.shipping import keeper, proxy, quick, store  # it imports the overlay


@pytest.fixture(autouse=True)
def built_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that the build writes; the checkout has none."""
    version = types.ModuleType("airflow_service._version")
    version.__dict__.update(VERSION="1.10.15+svc.1", UPSTREAM_VERSION="1.10.15", REVISION=1, BUILD="")
    monkeypatch.setitem(sys.modules, "airflow_service._version", version)
