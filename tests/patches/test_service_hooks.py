"""Where upstream calls into airflow_service, or tells about it."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow

_WRONG = {"AIRFLOW__SERVICE__CLUSTER_ID": "eu west", "AIRFLOW__SERVICE__CDNURL": "x"}


@pytest.mark.parametrize(
    "command", [("initdb",), ("webserver", "-D"), ("scheduler", "-n", "1"), ("list_dags",)]
)
def test_wrong_service_settings_stop_the_start(airflow: PatchedAirflow, command: tuple[str, ...]) -> None:
    """Exit code 78, every fault on standard error, no traceback, nothing begun."""
    done = airflow.command(*command, check=False, **_WRONG)
    assert done.returncode == 78, done.stderr
    assert f"airflow {command[0]}: not started" in done.stderr
    assert (
        "[service] cluster_id = 'eu west'  (environment variable AIRFLOW__SERVICE__CLUSTER_ID)" in done.stderr
    )
    assert "did you mean cdn_url?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (airflow.home / "airflow.db").exists()


def test_version_is_told_whatever_is_set(airflow: PatchedAirflow) -> None:
    """It is what one asks for while mending the configuration."""
    assert airflow.command("version", **_WRONG).stdout.strip()


def test_an_airflow_cfg_of_the_release_keeps_working(airflow: PatchedAirflow) -> None:
    """One that has no [service] section, as Apache Airflow 1.10.15 writes it."""
    (airflow.home / "airflow.cfg").write_text("[core]\nload_examples = False\n")
    airflow.command("initdb")
    assert (airflow.home / "airflow.db").exists()


def test_a_new_airflow_cfg_holds_the_service_section(airflow: PatchedAirflow) -> None:
    """With its comments, so that an operator finds the keys where they are set."""
    airflow.command("version")
    text = (airflow.home / "airflow.cfg").read_text(encoding="utf-8")
    written = configparser.ConfigParser()
    written.read_string(text)
    assert {"cluster_id": "", "cdn_url": ""}.items() <= dict(written["service"]).items()
    assert "\n# The name of this cluster." in text


def test_setup_declares_the_command(airflow_tree: Path) -> None:
    """`pip install` makes the command `airflow-service`."""
    tree = ast.parse((airflow_tree / "setup.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    [setup] = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "setup"]
    told = {keyword.arg: keyword.value for keyword in setup.keywords}
    scripts = ast.literal_eval(told["entry_points"])["console_scripts"]
    assert "airflow-service = airflow_service.cli:main" in scripts
