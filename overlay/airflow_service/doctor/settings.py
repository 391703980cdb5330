"""Checks that need the configuration alone."""

from __future__ import annotations

import importlib
import os
import platform
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from airflow_service import validators
from airflow_service.base_url import BaseUrl
from airflow_service.config import effective, pair_faults, read_service_section, read_webserver_section
from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.errors import Fault, WrongSettings
from airflow_service.log_server import key_fault
from airflow_service.masking import mask_url, shown
from airflow_service.sources import Configuration, UnreadableValue, Value, airflow_package

_EXECUTORS = (
    "SequentialExecutor",
    "LocalExecutor",
    "CeleryExecutor",
    "DaskExecutor",
    "KubernetesExecutor",
    "MesosExecutor",
    "DebugExecutor",
)
# Nothing writes DAGs, and plugins are optional.
_FOLDERS = {"dags_folder": os.R_OK | os.X_OK, "base_log_folder": os.W_OK | os.X_OK, "plugins_folder": 0}
_ON_OTHER_MACHINES = ("CeleryExecutor", "DaskExecutor")
_ONE_CONNECTION = ("SequentialExecutor", "DebugExecutor")


def distribution(configuration: Configuration) -> Iterator[Fact | Finding]:
    """Which distribution this is, and what runs it."""
    version = importlib.import_module("airflow_service._version")  # written by the build
    yield Fact("distribution", "version", version.VERSION + (f" ({version.BUILD})" if version.BUILD else ""))
    yield Fact("distribution", "upstream version", version.UPSTREAM_VERSION)
    yield Fact("distribution", "Python", f"{platform.python_version()} ({sys.executable})")
    package = airflow_package()
    yield Fact("distribution", "airflow", str(package) if package else "not found")
    if package is None:
        yield Finding(
            "distribution",
            Severity.ERROR,
            "The package airflow is not found beside airflow_service.",
            "Another environment's Python runs this, or the installation is incomplete.",
            f"{sys.executable} -m pip install --force-reinstall apache-airflow=={version.VERSION}",
        )


def files(configuration: Configuration) -> Iterator[Fact | Finding]:
    """AIRFLOW_HOME and airflow.cfg."""
    home, file = configuration.home, configuration.file
    yield Fact("paths", "AIRFLOW_HOME", f"{home}" + ("" if home.is_dir() else " (does not exist)"))
    yield Fact("paths", "airflow.cfg", f"{file}" + ("" if file.exists() else " (does not exist)"))
    if configuration.trouble is not None:
        yield Finding(
            "files",
            Severity.ERROR,
            f"{file} cannot be read: {configuration.trouble}.",
            "The file was edited by hand, or belongs to another user. What follows holds without it.",
            f"Correct the file; ls -l {file}",
        )
    if not home.is_dir():
        yield Finding(
            "files",
            Severity.WARNING,
            f"The folder AIRFLOW_HOME, {home}, does not exist.",
            "AIRFLOW_HOME is not set in this shell, or nothing was initialised yet: the first command of "
            "`airflow` creates the folder, and an airflow.cfg of defaults in it.",
            "export AIRFLOW_HOME=/path/of/the/service, or airflow initdb",
        )
    if file.exists() and file.stat().st_mode & stat.S_IWOTH:
        yield Finding(
            "files",
            Severity.ERROR,
            f"Every user of this machine can change {file}.",
            "It was created with a umask of 0, as a daemon's. Whoever changes it runs code as Airflow.",
            f"chmod o-w {file}",
        )


def service_section(configuration: Configuration) -> Iterator[Fact | Finding]:
    """The `[service]` section, and where each value of it was set."""
    try:
        section = read_service_section(configuration)
    except WrongSettings as error:
        # The file as a whole (*) is told by the check of files.
        yield from (_wrong_setting(fault) for fault in error.faults if fault.key != "*")
        return
    with suppress(WrongSettings):  # told by the check of the webserver
        webserver = read_webserver_section(configuration)
        yield from map(_wrong_setting, pair_faults(section, webserver))
    for name, text in effective(section).items():
        yield Fact("[service]", name, f"{text!r} ({section.sources[name]})")


def _wrong_setting(fault: Fault) -> Finding:
    value = "" if fault.given is None else f" = {fault.given}"
    return Finding(
        "service_section",
        Severity.ERROR,
        f"[{fault.section}] {fault.key}{value}: {fault.wrong}.",
        f"It was set by {fault.source}. No command of airflow starts with it.",
        f"Correct it in {fault.source}.",
    )


def folders(configuration: Configuration) -> Iterator[Fact | Finding]:
    """The folders of DAGs, plugins and logs."""
    for key, access in _FOLDERS.items():
        value = configuration.get("core", key)
        if value is None:
            continue
        path = Path(value.text)
        yield Fact("paths", key, f"{path}" + ("" if path.exists() else " (does not exist)"))
        if not access or os.access(path, access):
            continue
        verb = "be written to" if access & os.W_OK else "be read"
        problem = f"{path} cannot {verb}" if path.exists() else f"{path} does not exist"
        yield Finding(
            "folders",
            Severity.ERROR if path.exists() else Severity.WARNING,
            f"[core] {key}: {problem}.",
            f"{value.origin} This process runs as user {os.geteuid()}.",
            f"ls -ld {path}" if path.exists() else f"mkdir -p {path}",
        )


def executor(configuration: Configuration) -> Iterator[Fact | Finding]:
    """The executor, and whether the database can serve it."""
    value = configuration.get("core", "executor")
    if value is None:
        return
    yield Fact("core", "executor", f"{value.text} ({value.source})")
    if value.text not in _EXECUTORS and "." not in value.text:  # plugin.Executor is a plugin's
        yield Finding(
            "executor",
            Severity.ERROR,
            f"[core] executor = {value.text!r} is no executor that Airflow knows.",
            f"{value.origin} Known are {', '.join(_EXECUTORS)}, or <plugin>.<name>.",
            f"Correct it in {value.source}.",
        )
    try:
        database = configuration.get("core", "sql_alchemy_conn")
    except UnreadableValue:
        return  # told by the check of the database
    if database is not None and database.text.startswith("sqlite") and value.text not in _ONE_CONNECTION:
        yield Finding(
            "executor",
            Severity.ERROR,
            f"{value.text} runs tasks side by side, and SQLite serves one process at a time.",
            "Airflow refuses this pair at each start.",
            "Set [core] sql_alchemy_conn to PostgreSQL or MySQL, or executor to SequentialExecutor.",
        )


def webserver(configuration: Configuration) -> Iterator[Fact | Finding]:
    """What this distribution asks of upstream's [webserver] section."""
    base_url = configuration.get("webserver", "base_url")
    if base_url is not None:
        yield Fact("webserver", "base_url", f"{shown(mask_url(base_url.text))} ({base_url.source})")
        yield from _base_url(base_url)
    rbac = configuration.get("webserver", "rbac")
    if rbac is not None:
        yield Fact("webserver", "rbac", f"{rbac.text} ({rbac.source})")
        yield from _rbac(rbac)


def _base_url(value: Value) -> Iterator[Finding]:
    try:
        BaseUrl.parse(value.text)
    except ValueError as error:
        yield Finding(
            "webserver",
            Severity.ERROR,
            f"[webserver] base_url is not well-formed: {error}.",
            f"{value.origin} Links, redirects and cookies are made from it.",
            "Set it to what a browser's address bar shows, such as https://host/prefix",
        )
    else:
        if value.text.endswith("/"):
            yield Finding(
                "webserver",
                Severity.WARNING,
                "[webserver] base_url ends with a slash: links that DAGs make from it will hold //.",
                value.origin,
                f"Set it to {value.text.rstrip('/')}",
            )


def _rbac(value: Value) -> Iterator[Finding]:
    try:
        if not validators.boolean(value.text):
            return
        problem = "[webserver] rbac = True, and this distribution does not hold that UI."
    except ValueError as error:
        problem = f"[webserver] rbac = {value.text!r}: {error}."
    yield Finding(
        "webserver",
        Severity.ERROR,
        problem,
        f"{value.origin} The Flask-AppBuilder UI cannot run on the current Flask.",
        "Set [webserver] rbac = False",
    )


def _secret_key(configuration: Configuration) -> Iterator[Finding]:
    """Sessions of the webserver, and its reading of workers' logs, hang on it."""
    key, executor = configuration.get("webserver", "secret_key"), configuration.get("core", "executor")
    if key is None or not (fault := key_fault(key.text)):
        return
    shared = executor is not None and executor.text in _ON_OTHER_MACHINES
    refused = " Workers' log servers do not start with it, and no log is fetched from them." if shared else ""
    guessed = " With it, anybody can forge a session." if key.text.strip() else " Sessions end with the webserver."
    yield Finding(
        "secrets",
        Severity.ERROR if shared or key.text.strip() else Severity.WARNING,
        f"[webserver] secret_key: {fault}.",
        f"{key.origin}{guessed}{refused}",
        "Set it on all nodes to the same output of: python -c 'import secrets; print(secrets.token_hex(32))'",
    )


def secrets(configuration: Configuration) -> Iterator[Fact | Finding]:
    """The keys that protect sessions and stored passwords."""
    if not configuration.file.exists():
        return  # the first command of `airflow` creates one, with keys of its own
    yield from _secret_key(configuration)
    try:
        fernet = configuration.get("core", "fernet_key")
    except UnreadableValue:
        return  # it is set, in a place that is not read here
    if fernet is not None and not fernet.text.strip():
        yield Finding(
            "secrets",
            Severity.WARNING,
            "[core] fernet_key is empty: passwords of connections are stored as they are.",
            "An airflow.cfg without the line, or an environment variable that is set to nothing.",
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'",
        )
