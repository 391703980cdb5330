"""`airflow-service logs`: list and print what is in the store, follow it, and say what is not there yet."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from airflow_service.config import read_service_section
from airflow_service.errors import EXIT_DONE, EXIT_USAGE, ServiceError
from airflow_service.log_reading.catalogue import (
    Log,
    ServiceLogs,
    TaskLogs,
    Wanted,
    find,
    tries_without_listing,
)
from airflow_service.log_reading.following import Follower
from airflow_service.log_reading.pages import PAGE
from airflow_service.log_reading.printing import Printer, say
from airflow_service.log_reading.source import NotThere, Unreadable
from airflow_service.log_reading.waiting import of_services, of_tasks, state_folders
from airflow_service.object_store import Denied, NoBucket, NoRight, ObjectStore, StoreError, log_store
from airflow_service.service_logs.sources import STATE
from airflow_service.sources import Configuration

EXIT_INTERRUPTED = 130
_TASK, _SERVICE = ("dag", "task", "date", "try"), ("cluster", "host", "service", "day")
_SIZE = re.compile(r"(\d{1,12})([kMG]?)")
_UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}


class NoSuchLog(ServiceError):
    """Nothing matches."""

    exit_code: ClassVar[int] = 20


class Refused(ServiceError):
    """The store refuses, or has no such bucket."""

    exit_code: ClassVar[int] = 21


class OutOfReach(ServiceError):
    """The store does not answer, or not as it should."""

    exit_code: ClassVar[int] = 22


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=["list", "print", "waiting"],
        help="list logs, print them, or say what of this machine's logs is not shipped yet",
    )  # fmt: skip
    task = parser.add_argument_group("task logs")
    task.add_argument("--dag", metavar="ID")
    task.add_argument("--task", metavar="ID")
    task.add_argument("--date", metavar="DATE", help="the execution date, or the beginning of one: 2026-11-22")
    task.add_argument("--try", type=int, metavar="NUMBER")
    service = parser.add_argument_group("logs of services")
    service.add_argument("--service", metavar="NAME", help="such as scheduler, webserver or nginx; all: '*'")
    service.add_argument("--cluster", metavar="ID", help="default: any")
    service.add_argument("--host", metavar="NAME", help="default: any")
    service.add_argument("--day", metavar="YYYY-MM-DD", help="the day, or the beginning of one")
    waits = parser.add_argument_group("with waiting")
    waits.add_argument(
        "--state", type=Path, metavar="FOLDER",
        help=f"the one of ship-logs for services' logs (default: below [core] base_log_folder, and {STATE})",
    )  # fmt: skip
    shown = parser.add_argument_group("with print")
    shown.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    shown.add_argument("--last", type=_size, metavar="BYTES", help="the last lines only, of so many bytes: 64k, 2M")


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say; the result is the exit code."""
    try:
        with _told():
            code = _run(arguments)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


def _run(arguments: argparse.Namespace) -> int:
    configuration = Configuration.read()
    folder = configuration.get("core", "base_log_folder")
    base = Path(folder.text if folder else "").expanduser()
    if arguments.what == "waiting":
        return _tell_waiting(base, arguments.state)
    wanted = wanted_of(arguments)
    if wanted is None:
        say("give filters of task logs, or of logs of services, and not of both")
        return EXIT_USAGE
    store = log_store(read_service_section(configuration).settings, configuration)
    if arguments.what == "list":
        return _list(store, wanted)
    printer = Printer(store, base, sys.stdout.buffer, on_terminal=sys.stdout.isatty())
    if arguments.follow:
        if not _found(store, wanted):
            say(f"there is no log yet that matches, in {store.location}")
        Follower(printer, lambda: _found(store, wanted), arguments.last or PAGE).run()
    logs = _found(store, wanted)
    if not logs:
        raise NoSuchLog(_no_log(store))
    printer.print_all(logs, arguments.last)
    return EXIT_DONE


def wanted_of(arguments: argparse.Namespace) -> Wanted | None:
    """Which logs are asked for; None if that makes no sense."""
    given = vars(arguments)
    of_tasks = any(given[name] is not None for name in _TASK)
    of_services = any(given[name] is not None for name in _SERVICE)
    if (of_tasks and of_services) or (arguments.what == "print" and not (of_tasks or of_services)):
        return None
    if of_services:
        service = None if arguments.service == "*" else arguments.service
        return ServiceLogs(arguments.cluster, arguments.host, service, arguments.day)
    return TaskLogs(arguments.dag, arguments.task, arguments.date, given["try"])


def _list(store: ObjectStore, wanted: Wanted) -> int:
    any_found = False
    for log in find(store, wanted):
        any_found = True
        state = "packed" if log.is_packed else "live" if log.is_live else ""
        print(f"{log.size:>14} {state:<6} {log.name}")
    if not any_found:
        raise NoSuchLog(_no_log(store))
    return EXIT_DONE


def _found(store: ObjectStore, wanted: Wanted) -> list[Log]:
    """The logs that match, in order; without the right to list, the tries of a run that is named in full."""
    try:
        return sorted(find(store, wanted), key=lambda log: log.order)
    except NoRight:
        if isinstance(wanted, TaskLogs) and wanted.dag and wanted.task and wanted.date:
            return list(tries_without_listing(store, wanted))
        raise


def _no_log(store: ObjectStore) -> str:
    return (
        f"no log in {store.location} matches\n"
        "next: `airflow-service logs list` with fewer filters;"
        " `airflow-service logs waiting` for what is not shipped yet"
    )


def _tell_waiting(base: Path, state: Path | None) -> int:
    of_journals: list[str] = []
    of_states: list[str] = []
    services = of_services([state] if state else state_folders(base), of_states)
    found = [*of_tasks(base, of_journals), *(services or ())]
    for one in found:
        print(f"{one.size:>14} {one.name}  ({one.note})")
    for problem in (*of_journals, *of_states):
        say(problem)
    known = "log" if services is not None else "task log"
    if found:
        print(f"{sum(one.size for one in found)} bytes of {len(found)} {known}s of this machine wait")
    else:
        print(f"no {known} of this machine waits")
    return EXIT_DONE


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError("it is no number of bytes")
    return int(found[1]) * _UNITS[found[2]]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (Denied, NoBucket) as error:
        raise Refused(
            f"{error}\nusual cause: credentials without the right to read or list, or a wrong remote_base_log_folder\n"
            "next: docs/logs.md has the rights that are needed"
        ) from error
    except NotThere as error:
        raise NoSuchLog(str(error)) from error
    except (StoreError, Unreadable) as error:
        raise OutOfReach(f"{error}\nnext: run it again; what was printed is right so far") from error
