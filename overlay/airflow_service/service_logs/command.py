"""`airflow-service ship-logs`: ship task logs and the logs of services, and keep room on the disk."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from airflow_service.config import read_service_section
from airflow_service.errors import EXIT_DONE, Fault, WrongSettings
from airflow_service.object_store import ObjectStore, log_store
from airflow_service.options import ServiceSettings
from airflow_service.service_logs.names import Place, host_name
from airflow_service.service_logs.retention import Limits, Retention
from airflow_service.service_logs.run import Outcome, Run
from airflow_service.service_logs.sources import Source, defaults, read_sources
from airflow_service.service_logs.state import StateTrouble, only_one, replace
from airflow_service.service_logs.task_files import TaskFiles, problems_of, task_files
from airflow_service.sources import Configuration
from airflow_service.task_logs.journal import Keeper
from airflow_service.task_logs.sweep import log_folder, sweep
from airflow_service.validators import boolean

EXIT_NOT_SHIPPED = 12
"""Something could not be shipped or removed: it is on disk, and the next run tries again."""
EXIT_DISK = 13
"""A disk has too little room, and what could go from it has gone."""
PARTS = ("tasks", "services", "disk")
SHIPPING = ".shipping"
"""The folder of what shippers know, below `[core] base_log_folder`."""
_STALE = 600
# What a run says is shipped by a later one: a bucket that refuses all must not fill it.
_MOST_TOLD = 20
_MEBIBYTE = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        choices=PARTS,
        action="append",
        help="task logs, services' logs, or the room on the disk; repeatable",
    )
    parser.add_argument(
        "--state", type=Path, metavar="FOLDER",
        help="where to keep what is known between two runs (default: below [core] base_log_folder)",
    )  # fmt: skip
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("-q", "--quiet", action="store_true", help="print problems only")
    parser.add_argument("--status", action="store_true", help="tell of the last run, for a supervisor")


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say; the result is the exit code."""
    configuration = Configuration.read()
    settings = read_service_section(configuration).settings
    base = log_folder(configuration)
    folder = arguments.state or base / SHIPPING / "services"
    status = folder / f"{host_name()}.status.json"
    if arguments.status:
        return _tell_status(status)
    _check_remote(configuration)
    wanted = arguments.only or PARTS
    teller = Teller(quiet=arguments.quiet)
    with only_one(folder):
        made = make_run(settings, configuration, folder, wanted, dry_run=arguments.dry_run)
        made.tell = teller.tell if arguments.dry_run else teller.progress
        swept = 0
        if "tasks" in wanted:
            # What is wrong with the state is told by go(): task logs need none.
            with suppress(StateTrouble):
                made.make_room()
            swept = _sweep(settings, configuration, made)
        outcome = made.go()
        code = exit_code(outcome)
        summary = summary_of(outcome, swept, dry_run=arguments.dry_run)
        if not arguments.dry_run:
            _write_status(status, code, summary)
    for problem in outcome.problems[:_MOST_TOLD]:
        teller.problem(problem)
    if more := outcome.problems[_MOST_TOLD:]:
        teller.problem(f"and {len(more)} more problems")
    for disk in outcome.removed.too_full:
        teller.problem(
            f"the disk of {disk.path} has {disk.free_percent:.1f} % free, and all that S3 has is removed from it;"
            f" {_size(outcome.shipped.waiting)} of logs wait to be shipped"
        )
    teller.tell(summary)
    return code


def make_run(
    settings: ServiceSettings,
    configuration: Configuration,
    folder: Path,
    wanted: tuple[str, ...],
    *,
    dry_run: bool,
    store: ObjectStore | None = None,
) -> Run:
    """A run by the configuration. Raises WrongSettings and WrongLogs."""
    host = host_name()
    limits = Limits(
        settings.logs_keep_days, settings.logs_keep_megabytes * _MEBIBYTE, settings.logs_min_free_percent
    )
    if "disk" not in wanted:
        limits = Limits(1 << 20, 0, 0)
    base = log_folder(configuration)
    # Each of two users looks after the disk for what is theirs; who asks for the disk alone looks after all.
    only_tasks = "tasks" in wanted and "services" not in wanted
    only_services = "services" in wanted and "tasks" not in wanted
    return Run(
        sources=() if only_tasks else _sources(settings, configuration),
        place=Place(settings.cluster_id, host),
        state_file=folder / f"{host}.json",
        retention=Retention(limits, dry_run=dry_run),
        store=store or log_store(settings, configuration) if "services" in wanted else None,
        dry_run=dry_run,
        task_logs=lambda until: TaskFiles() if only_services else task_files(base, until),
        folders=(base,),
    )


def _sweep(settings: ServiceSettings, configuration: Configuration, run: Run) -> int:
    """Ship task logs that nobody ships; returns how many."""
    if run.dry_run:
        waiting = len(list(Keeper(log_folder(configuration)).open_journals()))
        run.tell(f"would look at {waiting} task logs that are not finished")
        return 0
    report = sweep(settings, configuration)
    run.outcome.shipped.problems += problems_of(report)
    return len(report.shipped)


def exit_code(outcome: Outcome) -> int:
    """The worst of what happened."""
    if outcome.state_trouble:
        return StateTrouble.exit_code
    if outcome.removed.too_full:
        return EXIT_DISK
    return EXIT_NOT_SHIPPED if outcome.problems else EXIT_DONE


def summary_of(outcome: Outcome, swept: int = 0, *, dry_run: bool = False) -> str:
    """One line on a run."""
    shipped, removed = outcome.shipped, outcome.removed
    if dry_run:
        return f"would ship {_size(shipped.waiting)}, and remove {len(removed.files)} files ({_size(removed.size)})"
    return (
        f"shipped {_size(shipped.size)} of services in {shipped.segments} segments and {shipped.packed} finished"
        f" pieces, and {swept} task logs;"
        f" removed {len(removed.files)} files ({_size(removed.size)}); waiting: {_size(shipped.waiting)};"
        f" problems: {len(outcome.problems) + len(removed.too_full)}"
    )


class Teller:
    """What a run says: plain on a terminal; elsewhere each line with its time and this host."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def tell(self, text: str) -> None:
        if not self._quiet:
            print(self._line(text, sys.stdout.isatty()))

    def progress(self, text: str) -> None:
        if not self._quiet and sys.stderr.isatty():
            print(text, file=sys.stderr)

    def problem(self, text: str) -> None:
        for line in text.splitlines():
            print(self._line(f"problem: {line}", sys.stderr.isatty()), file=sys.stderr)

    def _line(self, text: str, on_terminal: bool) -> str:
        if on_terminal:
            return text
        return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {host_name()} ship-logs: {text}"


def _sources(settings: ServiceSettings, configuration: Configuration) -> tuple[Source, ...]:
    if settings.service_logs:
        return read_sources(Path(settings.service_logs), configuration)
    return defaults(configuration)


def _check_remote(configuration: Configuration) -> None:
    value = configuration.get("core", "remote_logging")
    try:
        if value and boolean(value.text):
            return
    except ValueError:
        pass
    wrong = "logs are shipped only with remote_logging = True and remote_base_log_folder = s3://bucket/prefix"
    raise WrongSettings(
        [
            Fault(
                "core",
                "remote_logging",
                value.text if value else "''",
                wrong,
                value.source if value else "default",
            )
        ]
    )


def _size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size = size / 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"


def _write_status(path: Path, code: int, summary: str) -> None:
    """For `--status`; on a disk that takes nothing, the one of before grows old, and is told of as such."""
    try:
        replace(path, json.dumps({"time": time.time(), "exit_code": code, "summary": summary}).encode())
    except OSError:
        return


def _tell_status(path: Path) -> int:
    try:
        last = json.loads(path.read_text())
        age = time.time() - last["time"]
        print(f"{age:.0f} s ago, exit code {last['exit_code']}: {last['summary']}")
        return EXIT_NOT_SHIPPED if age > _STALE and last["exit_code"] == EXIT_DONE else int(last["exit_code"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"no run of `airflow-service ship-logs` is known: {error}")
        return EXIT_NOT_SHIPPED
