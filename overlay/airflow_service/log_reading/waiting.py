"""What of this machine's logs is not in the store yet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_service.service_logs.names import host_name
from airflow_service.service_logs.sources import STATE
from airflow_service.service_logs.state import State
from airflow_service.task_logs.journal import Damaged, Keeper, is_live


@dataclass(frozen=True, slots=True)
class Waiting:
    """A log, how many bytes of it are here alone, and who is to ship it."""

    name: str
    size: int
    note: str


def state_folders(base: Path) -> tuple[Path, ...]:
    """Where `ship-logs` keeps what it knows of services' logs: by default, and as it is set up by `render cron`."""
    return base / ".shipping" / "services", Path(STATE)


def of_tasks(base: Path, problems: list[str]) -> Iterator[Waiting]:
    """By the journals of task logs; those that cannot be read are among the problems."""
    keeper = Keeper(base)
    try:
        # Where this may not be read, no journal would be found, as where there is none.
        os.scandir(keeper.folder).close()
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(f"{keeper.folder} cannot be read ({error.strerror}): ask as the user whose tasks run")
        return
    for path, journal in keeper.open_journals():
        if isinstance(journal, Damaged):
            problems.append(f"{path}: {journal}")
            continue
        try:
            size = (base / journal.relative).stat().st_size
        except OSError:
            size = journal.shipped
        rest = max(0, size - journal.shipped)
        try:
            is_shipped_now = is_live(keeper, journal.relative)
        except OSError as error:
            problems.append(f"{journal.relative}: whether its task runs cannot be seen ({error.strerror})")
            is_shipped_now = False
        if is_shipped_now:
            yield Waiting(journal.relative, rest, "its task runs, and ships it")
        else:
            note = "to be shipped" if rest else "shipped, and not merged yet: readable"
            yield Waiting(journal.relative, rest, f"{note}; the next `airflow-service ship-logs` does it")


def of_services(folders: Sequence[Path], problems: list[str]) -> list[Waiting] | None:
    """By the last run of `ship-logs` that kept its state in one of the folders; None if none tells of any.

    Nothing is changed: a damaged state is for the next run to set aside.
    """
    found: list[Waiting] | None = None
    for folder in folders:
        path = folder / f"{host_name()}.json"
        try:
            state = State.load(path)
            seen = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(path.stat().st_mtime))
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{path} cannot be read ({error.strerror}): ask as the user who runs ship-logs")
            continue
        except ValueError as error:
            problems.append(f"{path} is damaged ({error}): the next run of ship-logs asks S3 for what it has")
            continue
        found = found or []
        for record in state.records:
            if record.unshipped:
                note = f"of {record.service}, as of {seen}"
                found.append(Waiting(record.path or record.name, record.unshipped, note))
    if found is None and not problems:
        where = " or ".join(map(str, folders))
        problems.append(
            f"of services' logs nothing is known: no run of ship-logs kept its state in {where};"
            " --state names another folder"
        )
    return found
