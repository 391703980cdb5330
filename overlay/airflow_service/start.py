"""The check before a command of `airflow` runs; `airflow/bin/airflow` calls it."""

from __future__ import annotations

import sys

from airflow_service.asset_manifest import installed_manifest
from airflow_service.config import check
from airflow_service.errors import BrokenInstallation, Fault, WrongSettings
from airflow_service.gateway.listening import check_listening
from airflow_service.gateway.settings import check_key_file, read_gateway

# `version` tells which distribution is installed, which is what someone asks who mends
# settings. `run` is what a service starts a task with: the service has passed the check
# itself, and a slip of the pen in airflow.cfg must not fail the tasks of a running cluster.
_ALWAYS_ALLOWED = frozenset({"version", "run"})


def stop_on_wrong_settings(command: str | None, hostname: str | None = None) -> None:
    """End the process with a message if a setting that this distribution reads is wrong.

    The webserver also looks whether the assets that it has to serve are there, where it
    listens (at `hostname`, if its command line says so), and who can write the keys that it
    believes.
    """
    if command in _ALWAYS_ALLOWED:
        return
    try:
        _check_settings()
        if command == "webserver":
            check_listening(hostname=hostname)
            check_key_file()
            installed_manifest()
    except WrongSettings as error:
        print(refusal(command, error), file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenInstallation as error:
        print(f"airflow {command}: not started, for {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _check_settings() -> None:
    faults: dict[Fault, None] = {}
    # The second needs the sections that the first looks at, and tells of their faults again.
    for read in (check, read_gateway):
        try:
            read()
        except WrongSettings as error:
            faults |= dict.fromkeys(error.faults)
    if faults:
        raise WrongSettings(list(faults))


def refusal(command: str | None, error: WrongSettings) -> str:
    """What the operator reads: all faults, and what to do next."""
    count = "a mistake" if len(error.faults) == 1 else f"{len(error.faults)} mistakes"
    listed = "\n".join(f"  {line}" for line in str(error).splitlines())
    return (
        f"airflow {command or ''}: not started, for the configuration holds {count}.\n\n{listed}\n\n"
        "Correct the configuration; `airflow-service doctor` shows all of it, and what else is wrong."
    )
