"""What all tests share: the patched tree, interpreters that can run it, and the built wheel.

What is made once is kept below .build/test/. These variables of the environment
put something else in its place:
AIRFLOW_TREE       a tree with patches and overlay, such as a patch author's
AIRFLOW_PYTHON     an interpreter with the dependencies and no Airflow
AIRFLOW_DATABASE   a SQLite database, as `airflow initdb` makes it
AIRFLOW_WARM       the socket of a running interpreter (harness.warm)
AIRFLOW_INSTALLED  an interpreter with the wheel installed
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from _pytest.reports import TestReport

# Hundreds of processes import Airflow and SQLAlchemy; where this is set, each one would compile them anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="as before a release: each test on every Python, every button in every way to serve the UI,"
        " 100 publishes under a reader's eyes",
    )


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether time does not matter."""
    return bool(request.config.getoption("--thorough"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs an interpreter of the patched tree on the first Python that is supported.

    What may differ from one Python to the other is marked `every_python`, and runs once for
    each that is here; in the fast part of the suite on the first alone.
    """
    fixtures = {"airflow_interpreter": "AIRFLOW_PYTHON", "each_installed": "AIRFLOW_INSTALLED"}
    for fixture, override in fixtures.items():
        if fixture in metafunc.fixturenames:
            versions = _versions(override)
            if not metafunc.config.getoption("--thorough") and not any(
                metafunc.definition.iter_markers("every_python")
            ):
                versions = versions[:1]
            first = _marks_of_the_first(metafunc.definition)
            values = [
                pytest.param(version, id=_python_id(version), marks=[pytest.mark.slow] if place else first)
                for place, version in enumerate(versions)
            ]
            metafunc.parametrize(fixture, values, indirect=True, scope="session")


def _marks_of_the_first(test: pytest.Item) -> list[pytest.MarkDecorator]:
    """What `every_python(first="thorough")` says of the first Python, on which others show the same."""
    first = [mark.kwargs["first"] for mark in test.iter_markers("every_python") if "first" in mark.kwargs]
    return [getattr(pytest.mark, name) for name in first]


# Whatever needs one of these builds, installs or starts something.
_COSTLY = {
    "airflow_tree", "each_installed", "installed", "dist", "postgres", "mariadb", "browser", "redis", "rabbitmq", "s3",
}  # fmt: skip
# Files that take minutes, the longest first.
_LONGEST = (
    "tests/browser/test_crawl.py",
    "tests/system/test_demo.py",
    "tests/patches/test_without_each_patch.py",
    "tests/system/test_external_commands.py",
    "tests/system/test_pythons.py",
    "tests/builder/test_reproducible.py",
    "tests/browser/test_gateway.py",
    "tests/browser/test_pages.py",
    "tests/system/test_postgresql.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for thorough runs, and begin with what takes longest: it would run on alone at the end."""
    for item in items:
        if not _COSTLY.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[int, bool]:
    """Smaller for what is to begin earlier."""
    file = item.nodeid.partition("::")[0]
    place = _LONGEST.index(file) if file in _LONGEST else len(_LONGEST)
    return place, item.get_closest_marker("slow") is None


def _versions(override: str) -> list[str]:
    if override in os.environ:
        return ["given"]
    from harness import environments

    return list(environments.pythons())


def _python_id(version: str) -> str:
    return version if version == "given" else f"py{version.replace('.', '')}"


@pytest.fixture(scope="session")
def airflow_tree() -> Path:
    """The patched tree, overlay included."""
    if given := os.environ.get("AIRFLOW_TREE"):
        return Path(given)
    from harness import environments

    return environments.patched_tree()


@pytest.fixture(scope="session")
def airflow_interpreter(request: pytest.FixtureRequest) -> Path:
    """A Python with the locked dependencies and no Airflow of its own."""
    if request.param == "given":
        return Path(os.environ["AIRFLOW_PYTHON"])
    from harness import environments

    return environments.runtime(request.param)


@pytest.fixture(scope="session")
def warm(airflow_interpreter: Path) -> Iterator[Callable[[], object]]:
    """Find the interpreter of the patched tree with the webserver's libraries imported (harness.warm)."""
    from harness.warm import WarmPython, of_the_webserver

    with ExitStack() as started:
        if given := os.environ.get("AIRFLOW_WARM"):
            yield lambda: WarmPython(Path(given))
        else:
            yield cache(lambda: started.enter_context(of_the_webserver(airflow_interpreter)))


@pytest.fixture(scope="session")
def each_installed(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with the wheel in it; one after the other of those that are here."""
    return _installed(request.param)


@pytest.fixture(scope="session")
def installed() -> Path:
    """The Python of an environment with the wheel in it: the first one that is supported."""
    return _installed(_versions("AIRFLOW_INSTALLED")[0])


def _installed(version: str) -> Path:
    if version == "given":
        return Path(os.environ["AIRFLOW_INSTALLED"])
    from harness import environments

    return environments.installed(version)


@pytest.fixture(scope="session")
def dist() -> Path:
    """The folder of finished outputs."""
    from harness import environments

    return environments.dist()


@pytest.fixture(scope="session")
def postgres() -> Iterator[object]:
    """A PostgreSQL server; `create(name)` makes a database and returns its URL."""
    from harness import servers

    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[object]:
    """A MariaDB server; `create(name)` makes a database and returns its URL."""
    from harness import servers

    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A headless Chromium; one for all, since a process can have but one that is driven so."""
    from harness.browsing import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    """A Redis server's URL."""
    from harness import servers

    with servers.redis() as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """A RabbitMQ broker's URL."""
    from harness import servers

    with servers.rabbitmq() as url:
        yield url


@pytest.fixture(scope="session")
def s3() -> Iterator[object]:
    """An S3 server; `bucket()` makes a bucket (harness.s3.S3Server)."""
    from harness import s3

    with s3.server() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to get what tests were skipped for."""
    reports: list[TestReport] = terminalreporter.stats.get("skipped", [])
    if any("make servers" in str(report.longrepr) for report in reports):
        terminalreporter.write_line(
            "some tests were skipped for want of a server or browser: run `make servers` (as root)"
        )
