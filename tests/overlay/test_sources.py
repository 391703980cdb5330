"""Airflow's configuration, read without Airflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow
from airflow_service.sources import Configuration, UnreadableValue


def _read(home: Path, cfg: str | None = None, **environment: str) -> Configuration:
    if cfg is not None:
        (home / "airflow.cfg").write_text(cfg, encoding="utf-8")
    return Configuration.read({"AIRFLOW_HOME": str(home), **environment})


def test_environment_comes_before_the_file(tmp_path: Path) -> None:
    """Each value tells where it was set."""
    read = _read(tmp_path, "[a]\nb = 1\nc = 2\n", AIRFLOW__A__B="3")
    b, c = read.get("a", "b"), read.get("a", "c")
    assert b
    assert (b.text, b.source) == ("3", "environment variable AIRFLOW__A__B")
    assert c
    assert (c.text, c.source) == ("2", str(tmp_path / "airflow.cfg"))
    assert read.get("a", "d") is None


@pytest.mark.parametrize(
    "cfg", ["no section\n", "[a]\nb = 1\njust words: hunter2 =\n  \x00", "[a]\nb=1\nb=2\n", "[a\n"]
)
def test_a_broken_file_is_told_not_raised(tmp_path: Path, cfg: str) -> None:
    """The reason names the line and does not quote it: it may hold a password."""
    read = _read(tmp_path, cfg.replace("no section", "pw hunter2"), AIRFLOW__A__B="3")
    assert read.trouble is None or "hunter2" not in read.trouble
    assert read.get("a", "b")


def test_a_file_that_is_not_utf8_or_a_folder(tmp_path: Path) -> None:
    """Both are told as trouble with the file."""
    (tmp_path / "airflow.cfg").write_bytes(b"[a]\nb = \xff\n")
    assert "utf-8" in str(_read(tmp_path).trouble)
    assert _read(tmp_path, AIRFLOW_CONFIG=str(tmp_path)).trouble


def test_a_lone_percent_is_unreadable_and_not_quoted(tmp_path: Path) -> None:
    """The usual mistake with an encoded password in airflow.cfg."""
    read = _read(tmp_path, "[core]\nsql_alchemy_conn = mysql://u:hunter%2@h/db\n")
    with pytest.raises(UnreadableValue, match="%%") as caught:
        read.get("core", "sql_alchemy_conn")
    assert "hunter" not in str(caught.value)


def test_a_failing_command_is_unreadable(tmp_path: Path) -> None:
    """Its words are not shown: they may hold what they fetch."""
    read = _read(tmp_path, "[core]\nsql_alchemy_conn_cmd = false hunter2\n")
    with pytest.raises(UnreadableValue) as caught:
        read.get("core", "sql_alchemy_conn")
    assert "hunter2" not in str(caught.value)


def test_a_variable_that_names_itself_ends(tmp_path: Path) -> None:
    """Upstream would expand it for ever."""
    assert _read(tmp_path, AIRFLOW__A__B="x$AIRFLOW__A__B").get("a", "b")


_KEYS = [
    ("core", "sql_alchemy_conn"),
    ("core", "dags_folder"),
    ("core", "executor"),
    ("core", "base_log_folder"),
    ("celery", "broker_url"),
    ("webserver", "base_url"),
    ("email", "email_backend"),
    ("service", "cluster_id"),
]
_ASK_AIRFLOW = """
import json, sys
from airflow.configuration import conf
print(json.dumps([conf.get(section, key) for section, key in json.loads(sys.argv[1])]))
"""
_ASK_US = """
import json, sys
from airflow_service.sources import Configuration
read = Configuration.read()
print(json.dumps([read.get(section, key).text for section, key in json.loads(sys.argv[1])]))
"""


def test_values_are_those_that_airflow_reads(airflow: PatchedAirflow) -> None:
    """Interpolation, variables, ~, commands, old names and defaults agree with upstream's."""
    airflow.settings.clear()
    (airflow.home / "airflow.cfg").write_text(
        "[core]\n"
        "dags_folder = ~/dags/$SUBFOLDER/${SUBFOLDER}\n"
        "sql_alchemy_conn_cmd = printf 'sqlite:///x.db'\n"
        "base_log_folder = %(dags_folder)s/100%%\n"
        "[celery]\n"
        "celery_broker_url = redis://old/0\n"
        "[service]\n"
        "cluster_id = eu-1\n"
    )
    settings = {"SUBFOLDER": "$LEAF", "LEAF": "leaf", "AIRFLOW__WEBSERVER__BASE_URL": "http://$LEAF:1"}
    keys = json.dumps(_KEYS)
    told = [
        airflow.run(
            str(airflow.interpreter), "-W", "ignore", "-c", code, keys, **settings
        ).stdout.splitlines()[-1]
        for code in (_ASK_AIRFLOW, _ASK_US)
    ]
    assert json.loads(told[0]) == json.loads(told[1])
    assert "leaf/leaf" in told[1]
    assert "100%" in told[1]
    assert "redis://old/0" in told[1]
