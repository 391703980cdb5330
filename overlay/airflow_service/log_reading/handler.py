"""The reading half of the task log handler, with upstream's signatures.

Each task's process loads it with the handler: what reads is imported when somebody does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_service.object_store import ObjectStore


class ReadsByRange:
    """For a FileTaskHandler whose logs are in the store of `[core] remote_base_log_folder`."""

    _store: tuple[int, ObjectStore] | None = None

    @property
    def log_store(self) -> ObjectStore:
        """This process's store: its connections cannot be carried over a fork. Raises WrongSettings."""
        from airflow_service.object_store import log_store

        if self._store is None or self._store[0] != os.getpid():
            self._store = os.getpid(), log_store()
        return self._store[1]

    def read(
        self, task_instance: Any, try_number: int | None = None, metadata: dict[str, Any] | None = None
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """The logs of one try or of all, and what is to be handed in with the next call for each.

        Without metadata a log is whole, but for what is beyond 16 MiB. With it (`{}` at first) it is
        the part after the last one; `end_of_log` says that nothing more is to come. With
        `download_logs` that is where the log ends now. Nothing is raised for a log that cannot be read.
        """
        from airflow_service.log_reading.tries import numbers_of

        if try_number is not None and try_number < 1:
            return [f"Error fetching the logs. Try number {try_number} is invalid."], [{"end_of_log": True}]
        numbers = numbers_of(task_instance) if try_number is None else [try_number]
        # Where one try's log was read up to says nothing of another's.
        handed_in = metadata if try_number is not None else None
        found = [self._read(task_instance, number, handed_in) for number in numbers]
        return [log for log, _ in found], [after for _, after in found]

    def _read(
        self, ti: Any, try_number: int, metadata: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        from airflow_service.log_reading.whole import read_one

        return read_one(self, ti, try_number, metadata)
