"""Airflow itself, imported in a process of its own, and the plugins it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.masking import scrub
from airflow_service.sources import Configuration, UnreadableValue

_TIMEOUT = 60
_WITH_PASSWORD = (("core", "sql_alchemy_conn"), ("celery", "broker_url"), ("celery", "result_backend"))
# Prints nothing: plugins and logging do that. What it found goes to the file.
_PROBE = """
import json, sys
import airflow
from airflow import plugins_manager
loaded = sorted(one.name for one in plugins_manager.plugins)
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump({"loaded": loaded, "failed": plugins_manager.import_errors}, file)
"""


def plugins(configuration: Configuration) -> Iterator[Fact | Finding]:
    """Import Airflow as each of its commands does; plugins run their own code then."""
    if configuration.trouble is not None:
        yield Fact("plugins", "loaded", "not tried: airflow.cfg cannot be read")
        return
    with tempfile.TemporaryDirectory(prefix="airflow-service-") as scratch:
        result = Path(scratch) / "found.json"
        try:
            done = subprocess.run(
                [sys.executable, "-c", _PROBE, str(result)],
                env=_environment(configuration, Path(scratch)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            yield _does_not_import(f"no end within {_TIMEOUT} s", "A plugin waits for something at import.")
            return
        if not result.exists():
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            said = _without_password(configuration, lines[-1] if lines else f"exit code {done.returncode}")
            yield _does_not_import(said, "A dependency is missing or of another version than the lock's.")
            return
        found = json.loads(result.read_text(encoding="utf-8"))
    yield Fact("plugins", "loaded", ", ".join(found["loaded"]) or "none")
    for where, reason in sorted(found["failed"].items()):
        yield Fact("plugins", "failed", where)
        yield Finding(
            "plugins",
            Severity.ERROR,
            f"The plugin {where} does not load: {_without_password(configuration, reason)}",
            "It imports what this version does not have, or what is not installed here.",
            "Import it by hand for the whole traceback, and correct or remove it.",
        )


def _environment(configuration: Configuration, scratch: Path) -> dict[str, str]:
    """The caller's, with everything that the import would create sent elsewhere."""
    environment = dict(configuration.environment)
    kept = configuration.home.is_dir()
    cfg = configuration.file if configuration.file.exists() else scratch / "airflow.cfg"
    environment |= {
        "AIRFLOW_HOME": str(configuration.home if kept else scratch),
        "AIRFLOW_CONFIG": str(cfg),
        "AIRFLOW_TEST_CONFIG": str(scratch / "unittests.cfg"),
        "AIRFLOW__CORE__BASE_LOG_FOLDER": str(scratch / "logs"),
        "AIRFLOW__CORE__DAG_PROCESSOR_MANAGER_LOG_LOCATION": str(scratch / "logs" / "manager.log"),
        "AIRFLOW__SCHEDULER__CHILD_PROCESS_LOG_DIRECTORY": str(scratch / "logs" / "scheduler"),
        # Refused at import; each has a finding of its own.
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
        "AIRFLOW__WEBSERVER__RBAC": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return environment


def _without_password(configuration: Configuration, text: str) -> str:
    for section, key in _WITH_PASSWORD:
        try:
            value = configuration.get(section, key)
        except UnreadableValue:
            continue
        if value is not None:
            text = scrub(text, value.text)
    return text


def _does_not_import(said: str, cause: str) -> Finding:
    return Finding(
        "plugins",
        Severity.ERROR,
        f"Airflow cannot be imported: {said}",
        cause,
        f"{sys.executable} -c 'import airflow', and pip check",
    )
