"""Airflow's own commands, from the installed wheel, on one database."""

from __future__ import annotations

import json

import pytest
from harness.site import NewSite, Site, complaints

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Site:
    made = new_site("commands")
    made.run("initdb")
    return made


def quietly(site: Site, *argv: str, **options: str) -> str:
    """Run a command that must neither fail nor warn; returns what it printed."""
    done = site.run(*argv, **options)
    assert complaints(done.stdout, done.stderr) == []
    return done.stdout


def test_version(site: Site) -> None:
    """Both commands say which build they are of."""
    assert "1.10.15+svc.1" in quietly(site, "version")
    assert "1.10.15+svc.1" in quietly(site, "--version", command="airflow-service")


def test_doctor(site: Site) -> None:
    """`airflow-service doctor` says as JSON what a new site lacks: somebody who decides who is let in."""
    done = site.run("doctor", "--json", command="airflow-service", check=False)
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_code"] == 3
    problems = {(one["check"], one["severity"]) for one in told["problems"]}
    assert problems == {("gateway", "error"), ("scheduler", "warning")}
    assert complaints(done.stdout, done.stderr) == []


def test_looking_at_dags(site: Site) -> None:
    """DAGs and tasks are listed, shown, paused, and their next run told."""
    assert "everyday" in quietly(site, "list_dags")
    assert "left_out" in quietly(site, "list_tasks", "everyday", "--tree")
    assert "label=everyday" in quietly(site, "show_dag", "everyday")
    assert "paused: True" in quietly(site, "pause", "everyday")
    assert "paused: False" in quietly(site, "unpause", "everyday")
    quietly(site, "next_execution", "everyday")
    quietly(site, "checkdb")


def test_running_by_hand(site: Site) -> None:
    """Tasks are tested, run, rendered, asked for their state, cleared; a DAG is triggered and deleted."""
    day = "2024-02-01"
    assert "run_id" not in quietly(site, "render", "everyday", "join", day)
    assert "21" in quietly(site, "test", "everyday", "shell", day)
    quietly(site, "trigger_dag", "everyday", "--run_id", "by_hand", "--exec_date", day, "--conf", '{"a": 1}')
    quietly(site, "run", "everyday", "shell", day)
    assert quietly(site, "task_state", "everyday", "shell", day).splitlines()[-1] == "success"
    assert quietly(site, "dag_state", "everyday", day).splitlines()[-1] == "running"
    assert "by_hand" in quietly(site, "list_dag_runs", "everyday")
    quietly(site, "task_failed_deps", "everyday", "join", day)
    quietly(site, "clear", "everyday", "--no_confirm", "--start_date", day, "--end_date", day)
    assert site.query("SELECT state FROM task_instance WHERE task_id = ?", "shell") == [(None,)]
    quietly(site, "delete_dag", "everyday", "--yes")
    assert site.run_states("everyday") == []


def test_pools_variables_connections(site: Site) -> None:
    """What the Admin menu keeps can be kept by commands."""
    quietly(site, "pool", "--set", "few", "2", "a pool")
    assert "few" in quietly(site, "pool", "--get", "few")
    quietly(site, "pool", "--export", str(site.home / "pools.json"))
    assert json.loads((site.home / "pools.json").read_text())["few"]["slots"] == 2
    quietly(site, "pool", "--delete", "few")
    quietly(site, "variables", "--set", "colour", "grün")
    assert quietly(site, "variables", "--get", "colour").splitlines()[-1] == "grün"
    quietly(site, "variables", "--export", str(site.home / "variables.json"))
    assert json.loads((site.home / "variables.json").read_text()) == {"colour": "grün"}
    quietly(site, "variables", "--import", str(site.home / "variables.json"))
    quietly(site, "variables", "--delete", "colour")
    quietly(
        site, "connections", "--add", "--conn_id", "there", "--conn_uri", "postgres://me:secret@there:5432/db"
    )
    assert "there" in quietly(site, "connections", "--list")
    quietly(site, "connections", "--delete", "--conn_id", "there")


def test_database_from_scratch(new_site: NewSite) -> None:
    """`resetdb` empties the database and makes it anew; `upgradedb` alone makes it too."""
    site = new_site("scratch")
    quietly(site, "upgradedb")
    quietly(site, "variables", "--set", "colour", "red")
    quietly(site, "resetdb", "--yes")
    assert site.query("SELECT count(*) FROM variable") == [(0,)]
    quietly(site, "upgradedb")
