"""The log handler of tasks: `[core] remote_logging` with an `s3://` folder chooses it.

It writes each line to the local file that upstream's handler writes to, in one write. The
process that supervises the task ships that file, with what the task's own process has
written to it. No failure of a log is ever the task's.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.utils.log.file_task_handler import FileTaskHandler

from airflow_service.log_reading.handler import ReadsByRange
from airflow_service.task_logs.journal import Keeper
from airflow_service.task_logs.local_log import GATHERED, LocalLog
from airflow_service.task_logs.paths import safe_relative
from airflow_service.task_logs.secrets import masked

if TYPE_CHECKING:
    from airflow_service.task_logs.shipper import Shipper

# shipper.THREAD, which is not imported before a task runs.
_SHIPPER_THREADS = "log-shipper"


class S3TaskHandler(ReadsByRange, FileTaskHandler):  # type: ignore[misc]  # upstream has no types
    """Writes a task's log to disk and ships it to `s3_log_folder`; reads logs from there, and elsewhere."""

    def __init__(self, base_log_folder: str, s3_log_folder: str, filename_template: str) -> None:
        super().__init__(base_log_folder, filename_template)
        self.remote_base = s3_log_folder
        self._relative = ""
        self._log: LocalLog | None = None
        self._shipper: Shipper | None = None

    def set_context(self, ti: Any) -> None:
        """Begin to write a task instance's log; called again for the same one, go on."""
        relative = self._render_filename(ti, ti.try_number)
        raw = bool(getattr(ti, "raw", False))
        if self._shipper is not None and not self._shipper.ours:
            self._shipper = None  # the process that this one was forked from ships
        if relative != self._relative or self._log is None:
            self._leave()
            self._begin(relative)
        if not raw and self._shipper is None and self._log is not None:
            self._ship()

    def _begin(self, relative: str) -> None:
        self._relative = relative
        limit = 1024
        with suppress(Exception):  # a wrong value stops what is started, and not a task
            limit = conf.getint("service", "logs_backlog_limit", fallback=limit)
        try:
            self._log = LocalLog(Path(self.local_base, relative), (limit << 20) + GATHERED, self._waiting)
        except OSError as error:
            # As another user's task does, which may not write here: its supervisor logs what it prints.
            _tell(f"*** The log {relative} cannot be written here: {error}\n")

    def _ship(self) -> None:
        try:
            from airflow_service.object_store import log_store
            from airflow_service.task_logs.shipper import Shipper

            self._shipper = Shipper(Keeper(Path(self.local_base)), self._relative, log_store)
        except Exception as error:  # never the task's failure
            self._note(f"This log stays on this machine: {type(error).__name__}: {error}")

    def _waiting(self, size: int) -> int:
        shipper = self._shipper
        if shipper is not None and shipper.ours:
            return shipper.waiting(size)
        journal = None
        # The task's own process: what its supervisor has written down.
        with suppress(Exception):  # one that cannot be read says nothing
            journal = Keeper(Path(self.local_base)).read(self._relative)
        return size - journal.shipped if journal is not None else size

    def handle(self, record: logging.LogRecord) -> Any:
        """Leave out what is logged while shipping: it would have to be shipped, and wait for `close`."""
        if record.threadName is not None and record.threadName.startswith(_SHIPPER_THREADS):
            return False
        return super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; secrets that this process has read are masked. Raises nothing."""
        try:
            self._write(self._line(record))
        except Exception as error:  # never the task's failure
            with suppress(Exception):
                self._write(f"*** A line could not be written: {type(error).__name__}\n")

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{masked(self.format(record))}\n"
        except Exception as error:  # such as arguments that do not fit the message
            with suppress(Exception):  # what these are made of may fail to show itself, too
                return masked(
                    f"*** A line could not be made ({error!r}): {record.msg!r} {record.args!r:.1000}\n"
                )
            return f"*** A line could not be made: {type(error).__name__}\n"

    def _write(self, line: str) -> None:
        if self._log is not None:
            self._log.write(line)
        elif self._relative:
            _tell(line)

    def flush(self) -> None:
        """Nothing is held back: each line was written as it came."""

    def close(self) -> None:
        """Ship the rest, as long as that gets on; what is left then is found by `airflow-service ship-logs`."""
        self._leave()
        logging.Handler.close(self)

    def _leave(self) -> None:
        shipper, self._shipper = self._shipper, None
        try:
            if shipper is not None and shipper.ours and not shipper.close():
                self._note(f"This log is not whole on S3 yet; ship-logs completes it. {shipper.problem}")
        except Exception as error:  # never the task's failure
            self._note(f"This log is not whole on S3 yet: {error!r}")
        if self._log is not None:
            self._log.close()
            self._log = None

    def _note(self, text: str) -> None:
        if self._log is not None:
            self._log.write(masked(f"*** {text}\n"))

    def _render_filename(self, ti: Any, try_number: int) -> str:
        return safe_relative(super()._render_filename(ti, try_number))


def _tell(text: str) -> None:
    """Print to the process's real standard error, whatever it was replaced with."""
    with suppress(Exception):
        if sys.__stderr__ is not None:
            sys.__stderr__.write(text)
            sys.__stderr__.flush()
