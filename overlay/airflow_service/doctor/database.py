"""The metadata database: reachable, migrated, and with a scheduler that is alive."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.masking import credentials_hold, mask_url, scrub
from airflow_service.sources import Configuration, Value, airflow_package

CONNECT_TIMEOUT = 5
_DIALECTS = ("sqlite", "postgresql", "mysql")
_DRIVERS = {
    "psycopg2": "pip install psycopg2-binary",
    "MySQLdb": "Write mysql+pymysql:// instead of mysql://, or: pip install mysqlclient",
    "pymysql": "pip install PyMySQL",
}
_VERSION = "SELECT version_num FROM alembic_version"
_HEARTBEAT = (
    "SELECT latest_heartbeat FROM job WHERE job_type = 'SchedulerJob' AND state = 'running' "
    "ORDER BY latest_heartbeat DESC LIMIT 1"
)


def database(configuration: Configuration) -> Iterator[Fact | Finding]:
    """Connect as Airflow would, and look without changing anything."""
    value = configuration.get("core", "sql_alchemy_conn")
    if value is None:
        return
    yield Fact("database", "sql_alchemy_conn", f"{mask_url(value.text)} ({value.source})")
    dialect = value.text.partition("://")[0].partition("+")[0]
    if dialect == "postgres":
        yield Finding(
            "database",
            Severity.WARNING,
            "[core] sql_alchemy_conn begins with postgres://, which SQLAlchemy no longer knows.",
            f"{value.origin} Airflow reads it as postgresql:// for now.",
            "Write postgresql:// instead.",
        )
        value = Value("postgresql" + value.text.removeprefix("postgres"), value.source)
    elif dialect not in _DIALECTS:
        yield Finding(
            "database",
            Severity.ERROR,
            f"[core] sql_alchemy_conn names no database that is supported: {mask_url(value.text)!r}.",
            f"{value.origin} Supported are sqlite://, postgresql:// and mysql://.",
            f"Correct it in {value.source}.",
        )
        return
    if credentials_hold(value.text, "@"):  # SQLAlchemy splits at the first one
        yield Finding(
            "database",
            Severity.ERROR,
            "[core] sql_alchemy_conn holds an @ besides the one before the host.",
            f"{value.origin} A password was written as it is. The database was not tried.",
            "Write it %40, which in airflow.cfg is %%40.",
        )
        return
    connect_args = configuration.get("core", "sql_alchemy_connect_args")
    if connect_args is not None and connect_args.text:
        # They are an object to import, and importing an operator's module may import Airflow.
        yield Fact("database", "reachable", "not tried: sql_alchemy_connect_args is set; run airflow checkdb")
        return
    yield from _look(configuration, value)


def _look(configuration: Configuration, value: Value) -> Iterator[Fact | Finding]:
    from sqlalchemy import inspect, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with readable_engine(value.text).connect() as connection:
            yield Fact("database", "reachable", "yes")
            inspector = inspect(connection)
            versions: set[str] = set()
            if inspector.has_table("alembic_version"):
                versions = set(connection.execute(text(_VERSION)).scalars())
            yield from _migrations(versions)
            beat = connection.execute(text(_HEARTBEAT)).scalar() if inspector.has_table("job") else None
            if versions:
                yield from _scheduler(configuration, beat)
    except ModuleNotFoundError as error:
        yield Fact("database", "reachable", "no")
        driver = error.name or ""
        yield Finding(
            "database",
            Severity.ERROR,
            f"The driver of the database is not installed: no module {driver}.",
            "Airflow brings no driver for PostgreSQL and MySQL unless its extra is installed.",
            _DRIVERS.get(driver, f"pip install {driver}"),
        )
    except (SQLAlchemyError, OSError, ValueError) as error:
        yield Fact("database", "reachable", "no")
        yield _unreachable(value, error)


def readable_engine(url_text: str) -> Any:
    """Make an engine that creates no file, and gives up soon. Raises as `make_url` and the driver do."""
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.pool import NullPool

    url = make_url(url_text)
    if url.get_backend_name() == "sqlite":
        # sqlite3 creates a file that is missing, unless it opens it to read.
        file = Path(url.database or ":memory:")
        if not file.is_file():
            raise FileNotFoundError(f"the file {file} does not exist")
        readable = f"{file.absolute().as_uri()}?mode=ro"
        return create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(readable, uri=True, timeout=CONNECT_TIMEOUT),
            poolclass=NullPool,
        )
    timeouts = {"connect_timeout": CONNECT_TIMEOUT}
    if url.get_backend_name() == "mysql":
        timeouts["read_timeout"] = CONNECT_TIMEOUT
    return create_engine(url, connect_args=timeouts, poolclass=NullPool)


def _unreachable(value: Value, error: Exception) -> Finding:
    reason = scrub(str(getattr(error, "orig", None) or error).strip().replace("\n", " "), value.text)
    if value.text.startswith("sqlite"):
        cause = "Nothing was initialised yet, or AIRFLOW_HOME is another one in this shell."
        next_step = "airflow initdb"
    else:
        cause = "The server is down, its name or port is wrong, or it refuses this user or password."
        next_step = "Try the same address with psql or mysql, from this machine."
    return Finding(
        "database",
        Severity.ERROR,
        f"The database cannot be reached: {reason}",
        f"{cause} {value.origin}",
        next_step,
    )


def _migrations(versions: set[str]) -> Iterator[Fact | Finding]:
    package = airflow_package()
    if package is None:
        return
    known, heads = migration_heads(package / "migrations" / "versions")
    if versions == heads:
        yield Fact("database", "migrations", "current")
    elif not versions:
        yield Fact("database", "migrations", "none: the database is empty")
        yield Finding(
            "database",
            Severity.ERROR,
            "The database holds no tables of Airflow.",
            "It was not initialised yet, or sql_alchemy_conn names another database than before.",
            "airflow initdb",
        )
    elif versions <= known:
        yield Fact("database", "migrations", f"behind: at {', '.join(sorted(versions))}")
        yield Finding(
            "database",
            Severity.ERROR,
            "The database's tables are older than this version of Airflow.",
            "Airflow was upgraded, and its database was not.",
            "Stop the services, back the database up, then: airflow upgradedb",
        )
    else:
        yield Fact("database", "migrations", f"unknown: at {', '.join(sorted(versions - known))}")
        yield Finding(
            "database",
            Severity.ERROR,
            "The database's tables are newer than this version of Airflow.",
            "A later Airflow has migrated this database; 1.10 cannot go back.",
            "Use the later version, or restore the back-up that was made before.",
        )


def migration_heads(folder: Path) -> tuple[set[str], set[str]]:
    """All migrations in a folder, and those that none follows.

    They are read and not imported, because some of them import Airflow.
    """
    known: set[str] = set()
    followed: set[str] = set()
    for file in folder.glob("*.py"):
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                if statement.targets[0].id == "revision":
                    known.add(ast.literal_eval(statement.value))
                elif statement.targets[0].id == "down_revision":
                    before = ast.literal_eval(statement.value) or ()
                    followed.update([before] if isinstance(before, str) else before)
    return known, known - followed


def _scheduler(configuration: Configuration, beat: datetime | str | None) -> Iterator[Fact | Finding]:
    if beat is None:
        yield Fact("core", "scheduler", "not running")
        yield Finding(
            "scheduler",
            Severity.WARNING,
            "No scheduler is running: no task will start.",
            "It was not started yet, or it was stopped.",
            "airflow scheduler",
        )
        return
    moment = datetime.fromisoformat(beat) if isinstance(beat, str) else beat
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # Airflow stores UTC
    age = int((datetime.now(UTC) - moment).total_seconds())
    yield Fact("core", "scheduler", f"last heartbeat {age} s ago")
    threshold = configuration.get("scheduler", "scheduler_health_check_threshold")
    if threshold is not None and threshold.text.strip().isdecimal() and age > int(threshold.text):
        yield Finding(
            "scheduler",
            Severity.ERROR,
            f"The scheduler's last heartbeat was {age} s ago; {int(threshold.text)} s are the limit.",
            "It was killed, hangs, or has lost the database; or clocks of two machines differ.",
            "Look at the end of its log, then start it again: airflow scheduler",
        )
