"""Plugins as they were written for Airflow 1.10."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow
from www_client import ask

_SAMPLES = Path(__file__).parents[1] / "samples" / "plugins"

_TABLES = """
from airflow.plugins_manager import plugins
app = web()
for name in ("classic_team", "classic_member"):
    models.base.Base.metadata.tables[name].create(settings.engine)
client = app.test_client()
"""


@pytest.fixture
def with_plugins(airflow_db: PatchedAirflow) -> PatchedAirflow:
    """A classic plugin and a broken one in the plugins folder, another installed as a package."""
    shutil.copytree(_SAMPLES / "folder", airflow_db.home / "plugins", dirs_exist_ok=True)
    airflow_db.settings["PYTHONPATH"] = f"{airflow_db.tree}:{_SAMPLES / 'packaged'}"
    return airflow_db


def test_views_blueprints_and_links_are_served(with_plugins: PatchedAirflow) -> None:
    """The menu names them, their templates, static files and forms work, a broken plugin is told of."""
    index, hello, said, style, pong = ask(
        with_plugins,
        _TABLES
        + """
def text(url):
    response = client.get(url)
    return response.get_data(as_text=True) if response.status_code == 200 else response.status_code
answer([text("/admin/"), text("/admin/helloview/"),
        post(client, "/admin/helloview/say", text="<i>").get_data(as_text=True),
        text("/static/classic/classic.css"), text("/packaged/ping")])
""",
    )
    for item in ("Hello", "Teams", "Members", "Keys", "Elsewhere"):
        assert item in index
    assert "Broken plugin: [" in index
    assert "Markup_of_old" in index
    assert "&lt;b&gt;hello&lt;/b&gt;" in hello
    assert "You said &lt;i&gt;" in said
    assert "p.classic" in style
    assert '"pong":true' in pong.replace(" ", "")


def test_model_views_of_a_plugin_work(with_plugins: PatchedAirflow) -> None:
    """Create, inline rows, edit in place, filter, export, delete; old type formatters still apply."""
    created, listed, members, updated, found, csv, keys, left = ask(
        with_plugins,
        _TABLES
        + """
url = "/admin/team/"
created = post(client, url + "new/", name="ops", **{"members-0-name": "ann", "members-0-on_call": "y"})
listed = client.get(url).get_data(as_text=True)
members = client.get("/admin/member/").get_data(as_text=True)
updated = post(client, url + "ajax/update/", list_form_pk="1", name="dev").get_data(as_text=True)
found = client.get(url + "?flt0_0=dev&search=dev").get_data(as_text=True)
csv = client.get(url + "export/csv/").get_data(as_text=True)
keys = client.get("/admin/classic_keys/").status_code
post(client, url + "delete/", id="1", url=url)
left = client.get(url).get_data(as_text=True)
answer([created.status_code, listed, members, updated, found, csv, keys, left])
""",
    )
    assert created == 302
    assert "OPS" in listed
    assert "ann" in members
    assert "yes" in members
    assert "successfully saved" in updated
    assert "DEV" in found
    assert "DEV" in csv
    assert keys == 200
    assert "DEV" not in left


def test_operators_hooks_macros_and_executors_are_found(with_plugins: PatchedAirflow) -> None:
    """Each is found where Airflow 1.10 put it, and a template can call the macro."""
    names = ask(
        with_plugins,
        """
from airflow.executors import _get_executor
from airflow.hooks.classic import ClassicHook
from airflow.operators.classic import ClassicOperator
from airflow.plugins_manager import global_operator_extra_links
from airflow.sensors.classic import ClassicSensor
import airflow.macros
task = ClassicOperator(task_id="t", greeting="{{ macros.classic.classic_macro() }}")
answer([task.render_template(task.greeting, {"macros": airflow.macros}), ClassicSensor.__name__,
        ClassicHook.__name__, type(_get_executor("classic.ClassicExecutor")).__name__,
        [link.name for link in global_operator_extra_links]])
""",
    )
    assert names == [
        "classic macro",
        "ClassicSensor",
        "ClassicHook",
        "ClassicExecutor",
        ["Classic"],
    ]
