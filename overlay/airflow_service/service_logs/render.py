"""Render what a node's cron and logrotate need to have logs rotated and shipped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airflow_service.errors import EXIT_CONFIGURATION, ServiceError
from airflow_service.service_logs.sources import AIRFLOW_LOGS, STATE
from airflow_service.toml_tables import Reader, matching, read_document

SERVICES = ("airflow", "nginx", "rabbitmq", "monit")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# A path that neither logrotate, cron nor a shell reads as anything else.
_PATH = re.compile(r"(?:/[A-Za-z0-9._+-]+)+")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[kMG]")


class WrongValues(ServiceError):
    """Values that nothing is rendered from; the message holds all faults."""

    exit_code = EXIT_CONFIGURATION


@dataclass(frozen=True, slots=True)
class Values:
    """What differs from one node to the other."""

    home: str
    """AIRFLOW_HOME."""
    program: str
    """Where `airflow-service` is."""
    user: str = "airflow"
    group: str = "airflow"
    services: tuple[str, ...] = SERVICES
    """Whose logs are rotated."""
    logs: str = AIRFLOW_LOGS
    state: str = STATE
    logrotate: str = "/etc/airflow/logrotate.conf"
    max_size: str = "100M"
    nginx_logs: str = "/var/log/nginx"
    nginx_user: str = "www-data"
    nginx_group: str = "adm"
    nginx_pid: str = "/run/nginx.pid"
    monit_pid: str = "/run/monit.pid"


def read_values(path: Path) -> Values:
    """The values in a TOML file; WrongValues names all that is wrong."""
    reader = Reader(read_document(path, WrongValues))
    place = matching(_PATH, "an absolute path of the characters A-Z a-z 0-9 . _ + - and /")
    user = matching(_USER, "a user's or group's name")
    services = reader.texts("services", _service)
    default = Values("", "")
    values = Values(
        home=reader.text("home", place),
        program=reader.text("program", place),
        user=reader.text("user", user, default.user),
        group=reader.text("group", user, default.group),
        services=services or SERVICES,
        logs=reader.text("logs", place, default.logs),
        state=reader.text("state", place, default.state),
        logrotate=reader.text("logrotate", place, default.logrotate),
        max_size=reader.text(
            "max_size", matching(_SIZE, "a number and k, M or G, as 100M"), default.max_size
        ),
        nginx_logs=reader.text("nginx_logs", place, default.nginx_logs),
        nginx_group=reader.text("nginx_group", user, default.nginx_group),
        nginx_user=reader.text("nginx_user", user, default.nginx_user),
        nginx_pid=reader.text("nginx_pid", place, default.nginx_pid),
        monit_pid=reader.text("monit_pid", place, default.monit_pid),
    )
    reader.finish()
    if reader.faults:
        raise WrongValues("\n".join([f"{path} is not what this can be made from:", *reader.faults]))
    return values


def render(what: str, values: Values) -> str:
    """The text of `logrotate` or `cron`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # values hold nothing that has a meaning there
    )
    return environment.get_template(f"{what}.jinja").render(values=values)


def _service(value: str) -> str:
    if value not in SERVICES:
        raise ValueError(f"is none of {', '.join(SERVICES)}")
    return value
