"""Every patch's `Test:` fails without it: else the patch, or the test, would be for nothing.

The patch alone is taken out of the patched tree, by git's own three-way merge. Where
later patches build on it, those that change the same files go with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from airflow_process import patched
from harness import environments
from harness.made import MADE, ROOT
from harness.warm import WarmPython, of_the_webserver, warm_python

from builder.git import git_text, run_git
from builder.release import select_release
from builder.series import read_patch, series_names

pytestmark = pytest.mark.slow

RELEASE = select_release(ROOT / "patches", None)
PYTHON = "3.11"
# What pytest and the tests' fixtures import of others.
_PYTEST = (
    "_pytest.doctest", "_pytest.legacypath", "_pytest.pytester", "cryptography.x509", "hypothesis", "jwt",
    "pytest", "requests", "uv",
)  # fmt: skip
_PROBE = "tests/patches/test_imports.py::test_dag_file_is_loaded"


@dataclass(frozen=True)
class Bench:
    """A clone of the patched tree, from which one patch after the other is taken out.

    One place for all, so that the byte code of what did not change stays valid.
    """

    tree: Path
    complete: str
    commits: dict[str, str]

    def take_out(self, name: str) -> list[str]:
        """Leave the tree without a patch; returns the later patches that had to go with it."""
        # First those that change the same files; if that is not enough, those that build on these, too.
        for onward in (False, True):
            on_it = self._later(name, onward=onward)[::-1]
            for count in range(len(on_it) + 1):
                if self._revert([*on_it[:count], name]):
                    return on_it[:count]
        pytest.fail(f"{name} cannot be taken out of the tree, not even with the later ones")

    def _later(self, name: str, *, onward: bool) -> list[str]:
        """The later patches that change a file of this one's or, `onward`, of one of theirs."""
        names = list(self.commits)
        paths = set(read_patch(RELEASE.directory / name).paths)
        found = []
        for other in names[names.index(name) + 1 :]:
            changed = set(read_patch(RELEASE.directory / other).paths)
            if paths & changed:
                found.append(other)
                paths |= changed if onward else set()
        return found

    def _revert(self, names: list[str]) -> bool:
        run_git(self.tree, "reset", "--quiet", "--hard", self.complete)
        reverts = (
            run_git(self.tree, "revert", "--no-commit", self.commits[name], check=False).returncode
            for name in names
        )
        return all(code == 0 for code in reverts)


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    patched = Path(environments.build("patch").splitlines()[-1])
    folder = MADE / f"without-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        tree = folder / "tree"
        run_git(folder, "clone", "--quiet", "--shared", str(patched), str(tree))
        (tree / ".git" / "info").mkdir(exist_ok=True)
        shutil.copy(patched / ".git" / "info" / "exclude", tree / ".git" / "info" / "exclude")
        shutil.copytree(patched / RELEASE.package, tree / RELEASE.package)
        log = git_text(
            tree, "log", "--reverse", "--format=%H %(trailers:key=Patch-Name,valueonly,separator=%x20)"
        )
        named = (line.split() for line in log.splitlines() if len(line.split()) == 2)
        yield Bench(tree, git_text(tree, "rev-parse", "HEAD"), {name: commit for commit, name in named})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def interpreter() -> Path:
    if given := os.environ.get("AIRFLOW_PYTHON"):
        return Path(given)
    if PYTHON not in environments.pythons():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"there is no Python {PYTHON} here")
    return environments.runtime(PYTHON)


def named_tests(name: str) -> list[str]:
    """The tests of a patch; of a parametrised one all, since its values differ with the interpreter."""
    return [test.partition("[")[0] for test in read_patch(RELEASE.directory / name).tests]


@dataclass(frozen=True)
class Runner:
    """Runs some of the suite's tests on the bench's tree."""

    pytest: WarmPython
    environment: dict[str, str]

    def run(self, tests: Iterable[str], *options: str) -> subprocess.CompletedProcess[str]:
        # Without plugins, for they take longer to load than many a test takes; a limit of time is needed.
        plugins = ("-p", "no:cacheprovider", "-p", "pytest_timeout")
        code = "import sys, pytest\nsys.exit(pytest.console_main())"
        return self.pytest.run(
            code, *plugins, "-q", *options, *tests, cwd=ROOT, env=self.environment, timeout=900
        )


@pytest.fixture(scope="session")
def runner(bench: Bench, interpreter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Pytest, and the tree's interpreter, each with its libraries imported once for all patches.

    The database is one of the whole series: what is to fail is the test, and not what prepares
    for it. That it can be made, and that a test passes, shows that with all patches in place nothing
    is wrong here. Of the other tests the suite's own run says as much.
    """
    run_git(bench.tree, "reset", "--quiet", "--hard", bench.complete)
    made = patched(tmp_path_factory.mktemp("database"), bench.tree, interpreter)
    made.command("initdb")
    with ExitStack() as started:
        warm = started.enter_context(of_the_webserver(interpreter))
        environment = {
            **os.environ, "AIRFLOW_TREE": str(bench.tree), "AIRFLOW_PYTHON": str(interpreter),
            "AIRFLOW_DATABASE": str(made.home / "airflow.db"), "AIRFLOW_WARM": str(warm.address),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }  # fmt: skip
        runner = Runner(started.enter_context(warm_python(Path(sys.executable), _PYTEST)), environment)
        done = runner.run([_PROBE])
        assert done.returncode == 0, done.stdout + done.stderr
        yield runner


@pytest.mark.parametrize("name", series_names(RELEASE.directory))
def test_its_test_fails_without_it(bench: Bench, runner: Runner, name: str) -> None:
    """Without the patch at least one test that its header names fails; to be missing is no failure."""
    tests = named_tests(name)
    with_it = bench.take_out(name)
    done = runner.run(tests, "-x")
    also = f" (with it went {', '.join(with_it)})" if with_it else ""
    # 1 is pytest's code for failed tests; others mean that they were not there, or not run.
    assert done.returncode == 1, (
        f"{name}{also}: {', '.join(tests)} ended with {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    )
    print(f"{name}{also}: {done.stdout.splitlines()[-1]}")
