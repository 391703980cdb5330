"""Sites: an installed Airflow with a home in the test's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.site import NewSite, Site


@pytest.fixture(scope="module")
def new_site(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> NewSite:
    """Make a site with settings such as `AIRFLOW__CORE__EXECUTOR="LocalExecutor"`."""

    def make(name: str, **settings: str) -> Site:
        return Site(installed, tmp_path_factory.mktemp(name), settings)

    return make
