"""One webserver with the example DAGs, a run of ours and a plugin, and a browser in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import filled_site
from harness.browsing import Watched
from harness.made import MADE
from harness.site import Site, complaints
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def filled_home(installed: Path) -> Path:
    """An AIRFLOW_HOME to be copied, with a run, a plugin, and entries for all lists."""
    return filled_site.home(installed)


@pytest.fixture(scope="package")
def site(installed: Path, filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose lists all have something to show."""
    home = filled_site.copied(filled_home, tmp_path_factory.mktemp("browser") / "home")
    return Site(installed, home, filled_site.SETTINGS)


@pytest.fixture(scope="package")
def ui(site: Site) -> Iterator[str]:
    """The host and port of the UI."""
    with site.webserver() as (url, process):
        yield url.removeprefix("http://")
        # The plugin does what plugins did, and upstream says so.
        assert [line for line in complaints(process.output) if "classic_plugin.py" not in line] == []


@pytest.fixture
def watched(browser: Browser, ui: str) -> Iterator[Watched]:
    """A page of a new browser profile; whatever goes wrong on it fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB")
    context.set_default_timeout(30_000)
    watched = Watched(context.new_page(), ui, MADE / "screenshots")
    yield watched
    context.close()
    watched.check()
