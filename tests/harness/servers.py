"""Real servers on free ports of the loopback, with data of their own, each stopped by its id."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pymysql
import pytest

from harness.processes import free_port, listens, running, wait_for

_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def program(name: str, *places: str) -> str:
    """Where a server's program is. Without it the test fails in CI, and is skipped elsewhere."""
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ["PATH"], "/usr/sbin"]))
    return found or missing(f"{name} is not installed: `make servers` installs it (Debian)")


def missing(reason: str) -> str:
    """End the test for want of a server or browser."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def _data(user: str) -> Iterator[tuple[Path, list[str]]]:
    """A folder that belongs to a server's user, and how to become that user.

    Not pytest's own temporary folder: another user cannot reach into it.
    """
    with tempfile.TemporaryDirectory(prefix=f"test-{user}-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            shutil.chown(name, user, pwd.getpwnam(user).pw_gid)
            yield Path(name), [program("setpriv"), f"--reuid={user}", f"--regid={user}", "--init-groups"]
        else:
            yield Path(name), []


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A database server on which each test gets a database of its own."""

    port: int
    scheme: str
    options: str = ""

    def url(self, database: str) -> str:
        return f"{self.scheme}://airflow:airflow@127.0.0.1:{self.port}/{database}{self.options}"


class Postgres(DatabaseServer):
    def create(self, database: str) -> str:
        """Make an empty database; returns its URL."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="airflow", password="airflow", dbname="postgres"
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {database}")
        connection.close()
        return self.url(database)


class MariaDB(DatabaseServer):
    def create(self, database: str) -> str:
        """Make an empty database; returns its URL."""
        with (
            pymysql.connect(
                host="127.0.0.1", port=self.port, user="airflow", password="airflow"
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb3")
        return self.url(database)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    server, initdb = program("postgres", *places), program("initdb", *places)
    with _data("postgres") as (folder, become):
        password = folder / "password"
        password.write_text("airflow")
        password.chmod(0o644)
        _run(
            [*become, initdb, "--no-sync", "--auth=scram-sha-256", "--username=airflow", "--encoding=UTF8",
             "--locale=C.UTF-8", f"--pwfile={password}", f"--pgdata={folder / 'data'}"]
        )  # fmt: skip
        port = free_port()
        command = [
            *become, server, "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", "",
            "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200",
        ]  # fmt: skip
        with running(command, folder / "log") as process:
            wait_for("PostgreSQL", lambda: "ready to accept" in process.output, 60, process)
            yield Postgres(port, "postgresql+psycopg2")


@contextmanager
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server."""
    server, install = program("mariadbd"), program("mariadb-install-db")
    with _data("mysql") as (folder, become):
        data, tables = folder / "data", folder / "init.sql"
        _run([*become, install, "--no-defaults", f"--datadir={data}", "--skip-test-db"])
        tables.write_text(
            # A statement a line: the server reads it so.
            "CREATE USER airflow@'127.0.0.1' IDENTIFIED BY 'airflow';\nGRANT ALL ON *.* TO airflow@'127.0.0.1';\n"
        )
        tables.chmod(0o644)
        port = free_port()
        command = [
            *become, server, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1",
            f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}", f"--init-file={tables}",
            "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
            # What Airflow asks of a MySQL.
            "--explicit-defaults-for-timestamp=1",
        ]  # fmt: skip
        with running(command, folder / "log") as process:
            wait_for("MariaDB", lambda: "ready for connections" in process.output, 60, process)
            yield MariaDB(port, "mysql+pymysql", "?charset=utf8mb4")


@contextmanager
def redis() -> Iterator[str]:
    """A Redis server; its URL."""
    server = program("redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="test-redis-") as name:
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", name]
        with running(command, Path(name) / "log") as process:
            wait_for("Redis", lambda: listens(port), 30, process)
            # Its import is half of what this module would take.
            from redis import Redis

            assert Redis(port=port).ping()
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def rabbitmq() -> Iterator[str]:
    """A RabbitMQ broker, with a name server of its own; its AMQP URL."""
    server = program(_RABBITMQ)
    names = program("epmd")
    with _data("rabbitmq") as (folder, become):
        port, distribution, epmd = free_port(), free_port(), free_port()
        (folder / "plugins").write_text("[].\n")
        (folder / "plugins").chmod(0o644)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            # Busy-waiting schedulers take the cores from everything else.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }
        with (
            # Started here, because a broker would start one that outlives it.
            running(
                [*become, names, "-address", "127.0.0.1", "-port", str(epmd)],
                folder / "epmd.log",
                environment,
            ),
            running([*become, server], folder / "log", environment, folder) as process,
        ):
            wait_for("RabbitMQ", lambda: "Server startup complete" in process.output, 120, process)
            yield f"amqp://guest:guest@127.0.0.1:{port}//"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode != 0:
        pytest.fail(f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
