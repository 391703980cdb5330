"""What all tests share: the patched tree and an interpreter that can run it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def airflow_tree() -> Path:
    """The patched tree, overlay included."""
    return Path(os.environ["AIRFLOW_TREE"])


@pytest.fixture(scope="session")
def airflow_interpreter() -> Path:
    """A Python with the locked dependencies and no Airflow of its own."""
    return Path(os.environ["AIRFLOW_PYTHON"])
