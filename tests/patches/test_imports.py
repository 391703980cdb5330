"""Modules that Python or the current stack dropped are not asked for."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from airflow_process import PatchedAirflow

pytestmark = pytest.mark.every_python

# Python 3.11 still has these, with a warning. None in sys.modules makes an import of them fail.
DROPPED = """
import sys
for dropped in ("imp", "distutils", "distutils.util", "funcsigs", "backports.configparser", "importlib_metadata"):
    sys.modules[dropped] = None
"""

DAG_FILE = """
from datetime import datetime
from airflow import DAG
from airflow.operators.dummy_operator import DummyOperator

dag = DAG("loaded", start_date=datetime(2024, 1, 1))
DummyOperator(task_id="task", dag=dag)
"""


def test_dag_file_is_loaded(airflow: PatchedAirflow) -> None:
    """The DAG bag loads a file as a module, and one that fails leaves no module behind."""
    (airflow.home / "dags" / "good.py").write_text(DAG_FILE)
    (airflow.home / "dags" / "bad.py").write_text(DAG_FILE + "\nraise ValueError('on purpose')\n")
    code = DROPPED + dedent(
        """
        from airflow.models import DagBag
        bag = DagBag()
        assert list(bag.dags) == ["loaded"], bag.dags
        assert [str(error) for error in bag.import_errors.values()] == ["on purpose"], bag.import_errors
        ours = [name for name in sys.modules if name.startswith("unusual_prefix_")]
        assert len(ours) == 1 and ours[0].endswith("_good"), ours
        """
    )
    airflow.python(code)


def test_plugin_file_is_loaded(airflow: PatchedAirflow) -> None:
    """A file in the plugins folder is loaded, and its macros can be imported from airflow.macros."""
    (airflow.home / "plugins" / "mine.py").write_text(
        dedent(
            """
            from airflow.plugins_manager import AirflowPlugin

            def shout(text):
                return text.upper()

            class Mine(AirflowPlugin):
                name = "mine"
                macros = [shout]
            """
        )
    )
    code = "import airflow\nfrom airflow.macros.mine import shout\nassert shout('a') == 'A'\n"
    airflow.python(DROPPED + code)


def test_deprecated_importer_loads_its_module(airflow: PatchedAirflow) -> None:
    """`from airflow.operators import X` goes on to work, as a deprecated way to say it."""
    code = DROPPED + dedent(
        """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            from airflow.operators import DummyOperator
        assert DummyOperator.__name__ == "DummyOperator"
        assert any("directly from 'airflow.operators'" in str(warning.message) for warning in caught), caught
        """
    )
    airflow.python(code)


def test_yes_and_no_are_read(airflow: PatchedAirflow) -> None:
    """Both users of strtobool are importable, and it refuses what is neither yes nor no."""
    code = DROPPED + dedent(
        """
        import types
        sys.modules["jenkins"] = types.ModuleType("jenkins")
        from airflow.contrib.hooks import jenkins_hook
        from airflow.operators import sql
        assert jenkins_hook.strtobool is sql.strtobool
        words = {word: bool(sql.strtobool(word)) for word in ("Yes", "on", "1", "T", "no", "OFF", "0", "f")}
        assert list(words.values()) == [True] * 4 + [False] * 4, words
        try:
            sql.strtobool("perhaps")
        except ValueError:
            pass
        else:
            raise AssertionError("not refused")
        """
    )
    airflow.python(code)


def test_no_backport_is_imported(airflow: PatchedAirflow) -> None:
    """The configuration and the local secrets backend need no backport of Python 2's time."""
    (airflow.home / "connections.json").write_text('{"c": "http://host/"}')
    code = DROPPED + dedent(
        """
        from airflow.secrets.local_filesystem import LocalFilesystemBackend, get_connection_parameter_names
        assert "conn_id" in get_connection_parameter_names()
        found = LocalFilesystemBackend(connections_file_path="connections.json").get_connections("c")
        assert [connection.host for connection in found] == ["host"]
        """
    )
    airflow.python(code)
    assert Path(airflow.home / "airflow.cfg").exists()
