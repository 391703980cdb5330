"""What of this machine's logs is not in the store yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_service.service_logs.names import host_name
from airflow_service.service_logs.state import State
from airflow_service.task_logs.journal import Damaged, Keeper, is_live


@dataclass(frozen=True, slots=True)
class Waiting:
    """A log, how many bytes of it are here alone, and who is to ship it."""

    name: str
    size: int
    note: str


def waiting(base: Path, problems: list[str]) -> Iterator[Waiting]:
    """By the journals of task logs and the last run of `ship-logs` over services' logs."""
    keeper = Keeper(base)
    for path, journal in keeper.open_journals():
        if isinstance(journal, Damaged):
            problems.append(f"{path}: {journal}")
            continue
        try:
            size = (base / journal.relative).stat().st_size
        except OSError:
            size = journal.shipped
        rest = max(0, size - journal.shipped)
        if is_live(keeper, journal.relative):
            yield Waiting(journal.relative, rest, "its task runs, and ships it")
        else:
            note = "to be shipped" if rest else "shipped, and not merged yet: readable"
            yield Waiting(journal.relative, rest, f"{note}; the next `airflow-service ship-logs` does it")
    state = State.read(base / ".shipping" / "services" / f"{host_name()}.json", problems)
    for record in state.records:
        if record.unshipped:
            yield Waiting(record.path or record.name, record.unshipped, f"of {record.service}, as of the last run")
