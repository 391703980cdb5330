"""The command line of airflow-service."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow
from airflow_service import cli
from airflow_service.doctor import checks
from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.sources import Configuration


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AIRFLOW_HOME for commands that run in this process."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    return tmp_path


def _fine(configuration: Configuration) -> Iterator[Fact | Finding]:
    yield Fact("group", "name", "value")


def _warns(configuration: Configuration) -> Iterator[Fact | Finding]:
    yield Finding("w", Severity.WARNING, "odd", "a habit", "do")


def _fails(configuration: Configuration) -> Iterator[Fact | Finding]:
    yield Finding("e", Severity.ERROR, "broken", "age", "mend")


def _crashes(configuration: Configuration) -> Iterator[Fact | Finding]:
    yield Fact("group", "seen", "before")
    raise RuntimeError("hunter2")


@pytest.mark.parametrize(
    ("made_of", "options", "code"),
    [
        ((_fine,), [], 0),
        ((_fine, _warns), [], 0),
        ((_fine, _warns), ["--strict"], 3),
        ((_warns, _fails), [], 3),
        ((_crashes, _fails), [], 1),
    ],
)
def test_exit_codes_of_the_doctor(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    made_of: tuple[object, ...],
    options: list[str],
    code: int,
) -> None:
    """0 fine, 3 problems, 1 if a check itself failed; the JSON says the same."""
    monkeypatch.setattr(checks, "ALL", made_of)
    assert cli.main(["doctor", *options]) == code
    text = capsys.readouterr().out
    assert cli.main(["doctor", "--json", *options]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == code
    assert told["format"] == 1
    assert [one["problem"] in text for one in told["problems"]] == [True] * len(told["problems"])
    assert "hunter2" not in text
    assert "\x1b" not in text


def test_errors_come_before_warnings(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A crashed check is an error among them, and the others are still done."""
    monkeypatch.setattr(checks, "ALL", (_warns, _crashes, _fails))
    cli.main(["doctor"])
    out = capsys.readouterr().out
    assert out.index("error: broken") < out.index("warning: odd")
    assert "The check _crashes itself failed: RuntimeError." in out
    assert "before" in out
    assert out.endswith("2 errors, 1 warning\n")


def test_config_prints_the_section_in_force(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it could be pasted, with the place of each value; 78 if it is wrong."""
    monkeypatch.setenv("AIRFLOW__SERVICE__CLUSTER_ID", "eu-1")
    assert cli.main(["config"]) == 0
    source = "environment variable AIRFLOW__SERVICE__CLUSTER_ID"
    told = capsys.readouterr().out
    assert told.startswith(f"[service]\n# {source}\ncluster_id = eu-1\n# default\ncdn_url =\n")
    monkeypatch.setenv("AIRFLOW__SERVICE__CLUSTER_ID", "a b")
    assert cli.main(["config"]) == 78
    assert "[service] cluster_id = 'a b'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["doctor", "--nonsense"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With argparse's usage line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: airflow-service" in capsys.readouterr().err


def test_colour_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never where NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert cli.may_colour(sys.stdout)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not cli.may_colour(sys.stdout)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert not cli.may_colour(sys.stdout)


def test_the_module_is_the_command(airflow: PatchedAirflow) -> None:
    """`python -m airflow_service`, also into a pipe that is closed early."""
    python = str(airflow.interpreter)
    assert airflow.run(python, "-m", "airflow_service", "--version").stdout.startswith("1.10.15+svc.")
    closed = airflow.run("sh", "-c", f"{python} -m airflow_service config | true")
    assert closed.stderr == ""


def test_importing_the_package_imports_nothing(airflow: PatchedAirflow) -> None:
    """Neither Airflow nor anything heavy comes with the package or the hook."""
    code = (
        "import sys, airflow_service, airflow_service.start, airflow_service.cli\n"
        "print(sorted({'airflow', 'sqlalchemy', 'kombu', 'flask', 'pandas'} & set(sys.modules)))"
    )
    assert airflow.python(code).stdout == "[]\n"
    assert {path.name for path in airflow.home.iterdir()} == {"dags", "plugins"}
