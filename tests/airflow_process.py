"""Run the patched tree in subprocesses, without building or installing a wheel.

The conftest of each directory that needs them imports the fixtures from here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from harness.made import MADE
from harness.warm import WarmPython


@dataclass
class PatchedAirflow:
    """The patched tree, run by an interpreter that has its dependencies.

    Every process gets the tree first on its path, an AIRFLOW_HOME of the test's
    own, and no setting of the surrounding shell's.
    """

    tree: Path
    interpreter: Path
    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    # Starts, or finds, the same interpreter with the libraries imported.
    warm: Callable[[], WarmPython] | None = None

    @property
    def byte_code(self) -> dict[str, str]:
        """Where byte code is kept: beside the tests' own copy of a tree, which no build changes."""
        if self.tree.is_relative_to(MADE):
            return {"PYTHONPYCACHEPREFIX": str(self.tree.parent / "byte-code")}
        return {"PYTHONDONTWRITEBYTECODE": "1"}

    def environment(self, **settings: str) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))
        }
        return {
            **kept,
            "PATH": f"{self.interpreter.parent}{os.pathsep}{kept['PATH']}",
            "PYTHONPATH": str(self.tree),
            **self.byte_code,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            **self.settings,
            **settings,
        }

    def run(
        self, *argv: str, check: bool = True, timeout: float = 120, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; its output is captured, and shown when it fails."""
        done = subprocess.run(
            argv,
            env=self.environment(**settings),
            cwd=self.home,
            text=True,
            capture_output=True,
            timeout=timeout,
        )
        return _succeeded(done) if check else done

    def python(
        self, code: str, *options: str, check: bool = True, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python with the tree on its path."""
        return self.run(str(self.interpreter), *options, "-c", code, check=check, **settings)

    def quickly(self, code: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python where Airflow counts, and how its libraries are imported does not."""
        if self.warm is None:
            return self.python(code, **settings)
        return _succeeded(self.warm().run(code, cwd=self.home, env=self.environment(**settings)))

    def command(self, *argv: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `airflow …` from the tree."""
        script = self.tree / "airflow" / "bin" / "airflow"
        return self.run(str(self.interpreter), str(script), *argv, check=check, **settings)


def _succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        pytest.fail(
            f"{done.args} ended with {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        )
    return done


def patched(home: Path, tree: Path, interpreter: Path) -> PatchedAirflow:
    """The patched tree with a home, which is made, and no database yet."""
    settings = {
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__BASE_LOG_FOLDER": str(home / "logs"),
    }
    (home / "dags").mkdir(parents=True, exist_ok=True)
    (home / "plugins").mkdir(exist_ok=True)
    return PatchedAirflow(tree, interpreter, home, settings)


@pytest.fixture
def airflow(
    tmp_path: Path, airflow_tree: Path, airflow_interpreter: Path, warm: Callable[[], WarmPython]
) -> PatchedAirflow:
    """The patched tree with an empty AIRFLOW_HOME and no database yet."""
    made = patched(tmp_path / "home", airflow_tree, airflow_interpreter)
    made.warm = warm
    return made


@pytest.fixture(scope="session")
def database_template(
    tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path, airflow_interpreter: Path
) -> Path:
    """A SQLite database after `airflow initdb`, made once and copied by tests; $AIRFLOW_DATABASE, if set."""
    if given := os.environ.get("AIRFLOW_DATABASE"):
        return Path(given)
    made = patched(tmp_path_factory.mktemp("template"), airflow_tree, airflow_interpreter)
    made.command("initdb")
    return made.home / "airflow.db"


@pytest.fixture
def airflow_db(airflow: PatchedAirflow, database_template: Path) -> PatchedAirflow:
    """The patched tree with an initialised SQLite database of the test's own."""
    shutil.copy(database_template, airflow.home / "airflow.db")
    return airflow
