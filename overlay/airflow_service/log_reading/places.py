"""Where the log of a task's try may be: the store, this machine, the worker that ran it."""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from airflow.utils.log.file_task_handler import FileTaskHandler

from airflow_service.log_reading.bounded import Bounded
from airflow_service.log_reading.handler import ReadsByRange
from airflow_service.log_reading.joined import WithLocalTail
from airflow_service.log_reading.on_machines import LocalFile, WorkerFile
from airflow_service.log_reading.source import NotThere, Source
from airflow_service.log_reading.stored import StoredText
from airflow_service.log_reading.tries import plain_name
from airflow_service.task_logs.paths import safe_relative

_TIMEOUT = 5


class NeverStarted:
    """In a worker's place, for a task that no worker has begun."""

    name = "worker"
    where = "the worker's log server"

    def size(self) -> int:
        """Raises NotThere."""
        raise NotThere("no worker has started this task")

    def read(self, start: int, end: int) -> bytes:
        """Nothing: there is no size."""
        return b""

    def near(self, start: int, end: int, *, from_end: bool) -> tuple[int, int]:
        """All of it is."""
        return start, end


def reads_by_range(handler: Any) -> bool:
    """Whether a task log handler's logs are in places that this package reads.

    Others, such as Elasticsearch's, and pods' logs, are read by their own code.
    """
    if conf.get("core", "executor") == "KubernetesExecutor":
        return False
    return type(handler) is FileTaskHandler or _has_store(handler)


def sources_of(handler: Any, ti: Any, number: int) -> list[Source]:
    """The places of a try's log, the best first. Raises NoPlainName.

    The store is given up after PATIENCE seconds from now on, unless `unbounded` lifts that.
    """
    name = plain_name(name_of(handler, ti, number))
    local = LocalFile(handler.local_base, name)
    sources: list[Source] = [local, worker_of(ti, name)]
    if _has_store(handler):
        sources.insert(0, WithLocalTail(Bounded(StoredText(handler.log_store, name)), local))
    return sources


def unbounded(source: Source) -> Source:
    """The same place, with all the time that it takes from now on."""
    if isinstance(source, WithLocalTail) and isinstance(source.stored, Bounded):
        source.stored.lift()
    return source


def _has_store(handler: Any) -> bool:
    return isinstance(handler, ReadsByRange)


def worker_of(ti: Any, name: str) -> Source:
    """The log server of the machine that ran the task's last try."""
    if not ti.hostname:
        return NeverStarted()
    port = conf.get("celery", "WORKER_LOG_SERVER_PORT")
    timeout = conf.getint("webserver", "log_fetch_timeout_sec", fallback=_TIMEOUT)
    return WorkerFile(f"http://{ti.hostname}:{port}/log/{name}", name, timeout)


def name_of(handler: Any, ti: Any, number: int) -> str:
    """The name below the log folder, by the handler's template.

    Of a task whose DAG is gone, the template gets what the usual ones ask for.
    """
    template = handler.filename_jinja_template
    if template is None or getattr(ti, "task", None) is not None:
        return str(handler._render_filename(ti, number))
    when = ti.execution_date
    known = {"ti": ti, "task_instance": ti, "ts": when.isoformat(), "execution_date": when, "try_number": number}
    name = str(template.render(**known, ds=when.strftime("%Y-%m-%d")))
    return safe_relative(name) if _has_store(handler) else name
