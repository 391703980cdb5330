"""Which files are whose logs: Airflow's own by its configuration, the others where Debian has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_service.errors import EXIT_CONFIGURATION, ServiceError
from airflow_service.sources import Configuration
from airflow_service.toml_tables import Reader, matching, read_document

_SERVICE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_WILD = re.compile(r"[*?\[]")
AIRFLOW_SERVICES = ("webserver", "scheduler", "worker", "flower")
AIRFLOW_LOGS = "/var/log/airflow"
"""Where the output of Airflow's services goes on a node."""
STATE = "/var/lib/airflow-service"
"""root's folder for what is known of shipped logs."""
# Once an hour: there is one for each DAG file and day, and each look that finds something costs a PUT.
DAG_FILES_INTERVAL = 3600


class WrongLogs(ServiceError):
    """A list of logs that cannot be used; the message holds all faults."""

    exit_code = EXIT_CONFIGURATION


@dataclass(frozen=True, slots=True)
class Source:
    """Logs of one service that are treated alike."""

    service: str
    paths: tuple[str, ...]
    """Absolute paths of live logs, with `*`, `?`, `[…]` in any step, and `**`; rotated ones are found beside them."""
    interval: int = 0
    """Seconds between two segments of a file that is being written; 0 sends at each run."""
    by_day: bool = False
    """Whether each day has a folder of its own, so that yesterday's files are finished without being renamed."""

    def fixed_folder(self, pattern: str) -> Path:
        """The folder above the first step that may be any of several."""
        steps = Path(pattern).parent.parts
        fixed = next((number for number, step in enumerate(steps) if _WILD.search(step)), len(steps))
        return Path(*steps[:fixed])


def defaults(configuration: Configuration) -> tuple[Source, ...]:
    """The logs of a node as it is set up by default."""

    def of(section: str, key: str) -> str:
        value = configuration.get(section, key)
        return value.text if value else ""

    home = configuration.home
    paths = {
        service: [
            f"{AIRFLOW_LOGS}/{service}*.log",
            *(f"{home}/airflow-{service}.{end}" for end in ("log", "out", "err")),
        ]
        for service in AIRFLOW_SERVICES
    }
    # The API of Celery's children, the supervisor's view of gunicorn.
    paths["webserver"] += [of("webserver", key) for key in ("access_logfile", "error_logfile")]
    paths["scheduler"].append(of("core", "dag_processor_manager_log_location"))
    own = tuple(
        Source(service, tuple(dict.fromkeys(path for path in several if path.startswith("/"))))
        for service, several in paths.items()
    )
    dag_files = of("scheduler", "child_process_log_directory")
    return (
        *own,
        *(
            [Source("scheduler", (f"{dag_files}/????-??-??/**/*.log",), DAG_FILES_INTERVAL, by_day=True)]
            if dag_files
            else []
        ),
        Source("rabbitmq", ("/var/log/rabbitmq/*.log",)),
        Source("nginx", ("/var/log/nginx/*.log",)),
        Source("monit", ("/var/log/monit.log",)),
        # What shipping itself has to say; once an hour, or each run would ship what the last one said.
        Source("ship-logs", (f"{AIRFLOW_LOGS}/ship-logs.log", f"{STATE}/ship-logs.log"), interval=3600),
    )


def read_sources(path: Path, configuration: Configuration) -> tuple[Source, ...]:
    """The defaults, with the services that a TOML file names replaced by what it says of them."""
    reader = Reader(read_document(path, WrongLogs))
    given = tuple(_source(one) for one in reader.tables("log"))
    reader.finish()
    if not given and not reader.faults:
        reader.faults.append("  log: there is none")
    if reader.faults:
        raise WrongLogs("\n".join([f"{path} is no list of logs:", *reader.faults]))
    named = {source.service for source in given}
    kept = tuple(source for source in defaults(configuration) if source.service not in named)
    return tuple(source for source in (*kept, *given) if source.paths)


def _source(reader: Reader) -> Source:
    return Source(
        service=reader.text("service", matching(_SERVICE, "a word of a-z 0-9 _ and -")),
        paths=reader.texts("paths", _path),
        interval=reader.number("interval", 0, 0, 86400),
        by_day=reader.flag("by_day"),
    )


def _path(text: str) -> str:
    if not text.startswith("/") or any(step in ("..", ".") for step in text.split("/")) or text.endswith("/"):
        raise ValueError("is no absolute path of a file without . and .. in it")
    return text


def services(sources: tuple[Source, ...]) -> Iterator[str]:
    """Their names, each once."""
    yield from dict.fromkeys(source.service for source in sources)


def as_values(source: Source) -> dict[str, Any]:
    """A source as a template reads it."""
    return {"service": source.service, "paths": source.paths, "by_day": source.by_day}
