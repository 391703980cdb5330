"""One webserver with the example DAGs, a run of ours and a plugin, and a browser in front of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.browsing import Watched
from harness.made import MADE
from harness.site import DAGS, Site, complaints
from playwright.sync_api import Browser

PLUGIN = Path(__file__).parents[1] / "samples" / "plugins" / "folder" / "classic"
PLUGIN_TABLES = """
CREATE TABLE classic_team (id INTEGER PRIMARY KEY, name VARCHAR(50) UNIQUE NOT NULL);
CREATE TABLE classic_member (id INTEGER PRIMARY KEY, name VARCHAR(50), on_call BOOLEAN, team_id INTEGER);
INSERT INTO classic_team (name) VALUES ('first team');
"""


@pytest.fixture(scope="package")
def site(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """SQLite; `everyday` has run, and everything that the lists show has an entry."""
    made = Site(installed, tmp_path_factory.mktemp("browser"), {"AIRFLOW__CORE__LOAD_EXAMPLES": "True"})
    shutil.copytree(PLUGIN, made.home / "plugins" / "classic", ignore=shutil.ignore_patterns("__pycache__"))
    made.run("initdb")
    with closing(sqlite3.connect(made.home / "airflow.db")) as database:
        database.executescript(PLUGIN_TABLES)
    made.run(
        "backfill", "everyday", "--start_date", "2024-01-01", "--end_date", "2024-01-01", "-sd", str(DAGS)
    )
    made.run("variables", "--set", "colour", "red")
    made.run(
        "connections",
        "--add",
        "--conn_id",
        "own",
        "--conn_type",
        "sqlite",
        "--conn_host",
        str(made.home / "airflow.db"),
    )
    return made


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
