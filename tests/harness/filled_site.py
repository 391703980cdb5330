"""A site on which every page has something to show: made once for all workers, and copied."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from harness.made import key_of, made_once
from harness.site import DAGS, Site

PLUGIN = Path(__file__).parents[1] / "samples" / "plugins" / "folder" / "classic"
SETTINGS = {"AIRFLOW__CORE__LOAD_EXAMPLES": "True"}
PLUGIN_TABLES = """
CREATE TABLE classic_team (id INTEGER PRIMARY KEY, name VARCHAR(50) UNIQUE NOT NULL);
CREATE TABLE classic_member (id INTEGER PRIMARY KEY, name VARCHAR(50), on_call BOOLEAN, team_id INTEGER);
INSERT INTO classic_team (name) VALUES ('first team');
"""


def copied(original: Path, home: Path) -> Path:
    """A copy of an AIRFLOW_HOME, with its keys, that knows nothing of where it was before."""
    shutil.copytree(original, home)
    settings = home / "airflow.cfg"
    settings.write_text(settings.read_text().replace(str(original), str(home)))
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        database.execute("UPDATE connection SET host = ? WHERE conn_id = 'own'", [str(home / "airflow.db")])
        database.commit()
    return home


def _fill(site: Site) -> None:
    """`everyday` has run, and everything that the lists show has an entry."""
    shutil.copytree(PLUGIN, site.home / "plugins" / "classic", ignore=shutil.ignore_patterns("__pycache__"))
    site.run("initdb")
    with closing(sqlite3.connect(site.home / "airflow.db")) as database:
        database.executescript(PLUGIN_TABLES)
    dates = ["--start_date", "2024-01-01", "--end_date", "2024-01-01"]
    site.run("backfill", "everyday", *dates, "-sd", str(DAGS))
    site.run("variables", "--set", "colour", "red")
    site.run("connections", "--add", "--conn_id", "own", "--conn_type", "sqlite", "--conn_host", "set by copied")


def home(interpreter: Path) -> Path:
    """The AIRFLOW_HOME of such a site, on SQLite; to be copied, not to be used."""
    sources = sorted(path for folder in (DAGS, PLUGIN) for path in folder.rglob("*") if path.suffix != ".pyc")
    # The interpreter's path names the wheel that was installed.
    key = key_of(str(interpreter), Path(__file__), *(path for path in sources if path.is_file()))
    folder = made_once("site", key, lambda folder: _fill(Site(interpreter, folder / "home", SETTINGS)))
    return folder / "home"
