"""The command `airflow-service`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from airflow_service.config import effective, read_service_section
from airflow_service.errors import EXIT_DONE, EXIT_UNEXPECTED, ServiceError
from airflow_service.options import SECTION
from airflow_service.sources import Configuration


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: its words, its arguments, and what it does."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the result is the process's exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A path or an error message may hold what the terminal's encoding lacks.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except ServiceError as error:
        print(f"airflow-service: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) has gone; Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNEXPECTED


def parser() -> argparse.ArgumentParser:
    """The command line, built from the table of commands."""
    root = argparse.ArgumentParser(prog="airflow-service", description="Look after this Airflow.")
    root.add_argument("--version", action="version", version=_version())
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return root


def may_colour(stream: TextIO) -> bool:
    """On a terminal, unless NO_COLOR (no-color.org) is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _version() -> str:
    version: str = importlib.import_module("airflow_service._version").VERSION  # written by the build
    return version


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--strict", action="store_true", help="count warnings as problems")


def _doctor(arguments: argparse.Namespace) -> int:
    from airflow_service.doctor import checks, findings, render

    report = findings.examine(Configuration.read(), checks.ALL)
    if arguments.json:
        print(json.dumps(report.as_json(strict=arguments.strict), indent=2, ensure_ascii=False))
    else:
        print(render.as_text(report, colour=may_colour(sys.stdout)))
    return report.exit_code(strict=arguments.strict)


def _config(arguments: argparse.Namespace) -> int:
    section = read_service_section()
    print(f"[{SECTION}]")
    for name, text in effective(section).items():
        print(f"# {section.sources[name]}\n{name} = {text}".rstrip())
    return EXIT_DONE


def _render_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["nginx", "logrotate", "cron"], help="which configuration")
    parser.add_argument(
        "--values", type=Path, required=True, metavar="FILE", help="what it is made from (TOML)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to (default: standard output)")


def _render(arguments: argparse.Namespace) -> int:
    from airflow_service.nginx import render as nginx
    from airflow_service.nginx.render import write
    from airflow_service.nginx.values import read_values
    from airflow_service.service_logs import render as logs

    if arguments.what == "nginx":
        text = nginx.render(read_values(arguments.values))
    else:
        text = logs.render(arguments.what, logs.read_values(arguments.values))
    if arguments.output is None:
        print(text, end="")
    else:
        write(arguments.output, text)
    return EXIT_DONE


def _gateway_arguments(parser: argparse.ArgumentParser) -> None:
    from airflow_service.reference_gateway import commands

    commands.add_arguments(parser)


def _gateway(arguments: argparse.Namespace) -> int:
    from airflow_service.reference_gateway import commands

    return commands.run(arguments)


def _routes_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def _routes(arguments: argparse.Namespace) -> int:
    # What Airflow and its plugins say while they start is not the table.
    with redirect_stdout(sys.stderr):
        from airflow.www.app import create_app

        from airflow_service.gateway import route_report

        app = create_app()
    if arguments.json:
        print(json.dumps(route_report.as_json(app), indent=2))
    else:
        print(route_report.markdown(app), end="")
    return EXIT_DONE


def _ship_logs_arguments(parser: argparse.ArgumentParser) -> None:
    from airflow_service.service_logs import command

    command.add_arguments(parser)


def _ship_logs(arguments: argparse.Namespace) -> int:
    from airflow_service.service_logs import command

    return command.run(arguments)


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    from airflow_service.log_reading import command

    command.add_arguments(parser)


def _logs(arguments: argparse.Namespace) -> int:
    from airflow_service.log_reading import command

    return command.run(arguments)


def _reconcile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument(
        "--forget",
        type=int,
        action="append",
        metavar="ID",
        help="give a command up that can no longer be settled, by the number that stands before it",
    )


def _reconcile(arguments: argparse.Namespace) -> int:
    # Airflow's start prints what belongs to no report.
    with redirect_stdout(sys.stderr):
        from airflow_service.external_commands import reconcile
    return reconcile.run(arguments.forget or [], as_json=arguments.json)


def _logged_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, help="the log (default: /var/log/airflow/SERVICE.log)")
    parser.add_argument("service", help="the service's name, as it stands in each line")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run")


def _logged(arguments: argparse.Namespace) -> int:
    from airflow_service.service_logs import logged

    return logged.run(arguments)


COMMANDS = (
    Command("doctor", "show what is configured, and what is wrong with it", _doctor, _doctor_arguments),
    Command("config", "show the [service] section in force", _config, lambda parser: None),
    Command("routes", "list the webserver's routes, and who may call them", _routes, _routes_arguments),
    Command(
        "reconcile", "settle commands that tasks left on outside platforms", _reconcile, _reconcile_arguments
    ),
    Command("render", "make a configuration file for another program", _render, _render_arguments),
    Command("ship-logs", "ship logs to S3, and remove what it has", _ship_logs, _ship_logs_arguments),
    Command("logged", "run a service with its output in a log, each line dated", _logged, _logged_arguments),
    Command("logs", "list, print and follow the logs on S3", _logs, _logs_arguments),
    Command("gateway", "run the reference gateway, or look after its users", _gateway, _gateway_arguments),
)
