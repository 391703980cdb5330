"""A thread that ships a log while its task runs, and what it must not do to a process that forks.

Python imports, and opens connections, under locks that a forked process would inherit as
held for ever. The task's process is forked from the one with this thread: so what takes such
locks waits until a fork has passed, and a fork waits for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from airflow_service.errors import ServiceError
from airflow_service.log_chain import LARGEST_SEGMENT, Writer
from airflow_service.object_store import Denied, NoBucket, ObjectStore, StoreError, Unreachable
from airflow_service.task_logs.journal import Keeper, Lock, Locked
from airflow_service.task_logs.shipment import Shipment

THREAD = "log-shipper"
"""How the names of this thread and its helpers begin: what they log themselves is not logged."""
HOLD = 9.1
"""Seconds that a segment waits for more: at most 396 in an hour, each within ten seconds."""
LOOK = 0.25
"""Seconds between two looks at the file."""
_FIRST = 2.0
_LONGEST_PAUSE = 30.0
PATIENCE = 5.0
"""Seconds without an answer after which the end of a task leaves its log to the sweep."""
FAILING = 2.0
"""The same, where S3 answers with errors, or did not answer before the end."""
_OPENING = 15.0
MOST = 300.0
"""Seconds that the end of a task waits for its log at most."""
_FORK_PATIENCE = 5.0
_LOCKED = "Another process ships it."
_LOCK_PAUSE = 1.0


class Shipper:
    """Ships one log. `open_store` is called in the thread.

    A log that another process ships still, and a disk that is full or read-only, are waited for.
    """

    def __init__(
        self, keeper: Keeper, relative: str, open_store: Callable[[], ObjectStore], hold: float | None = None
    ) -> None:
        self._keeper = keeper
        self._relative = relative
        self._lock: Lock | None = None
        self._begun: Shipment | None = None
        self._open_store = open_store
        self._hold = HOLD if hold is None else hold
        self._writer = _LazyWriter(relative)
        self._owner = os.getpid()
        self._closing = threading.Event()
        self._abandoned = False
        self.problem = ""
        """Why the last try failed; empty if it did not."""
        _forks.watch()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        try:
            # Before the task begins, so that a sweep finds its log whatever happens; if not, the thread tries again.
            with suppress(Locked, OSError):
                self._shipment()
            self._thread.start()
        except BaseException:
            self._let_go()
            raise

    @property
    def ours(self) -> bool:
        """Whether this process is the one that ships, and not one that was forked from it."""
        return self._owner == os.getpid()

    def waiting(self, size: int) -> int:
        """About how many bytes of a file of this size are not on S3."""
        journal = self._begun.journal if self._begun is not None else self._keeper.read(self._relative)
        return size - journal.shipped if journal is not None else size

    def close(self) -> bool:
        """Ship the rest and merge, as long as that gets on; whether all is done.

        What is not done then is left to the sweep. The thread is left behind if it hangs.
        """
        begun = time.monotonic()
        patience = min(FAILING, PATIENCE) if self.problem else PATIENCE
        self._closing.set()
        while self._thread.is_alive():
            self._thread.join(0.2)
            now = time.monotonic()
            shipment = self._begun
            alive = max(begun, self._writer.alive, shipment.sent if shipment is not None else 0.0)
            # Modules and credentials are loaded before: on a machine that is busy, that takes long.
            stuck = now - alive > (patience if self._writer.is_open else max(patience, _OPENING))
            if self._thread.is_alive() and (stuck or now - begun > MOST):
                # It may go on as long as this process lives; nobody else does until then.
                self._abandoned = True
                return False
        return not self.problem

    def _shipment(self) -> Shipment:
        """The log, locked and written down. Raises Locked, or OSError: once more, then."""
        if self._begun is None:
            if self._lock is None:
                self._lock = Lock(self._keeper, self._relative)
            shipment = Shipment(self._keeper, self._relative, self._writer)
            try:
                shipment.begin()
            except BaseException:
                shipment.close()
                raise
            self._begun = shipment
        return self._begun

    def _let_go(self) -> None:
        if self._begun is not None:
            self._begun.close()
        if self._lock is not None:
            self._lock.release(remove=not self.problem)

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            self._closing.wait(_FIRST)
            # What waits at the first look may be as old as the thread.
            self._ship_while_it_runs(begun)
            self._finish()
        except Exception as error:  # a thread that dies must not take the log's lock with it
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self._let_go()

    def _ship_while_it_runs(self, since: float | None) -> None:
        failures = 0
        while not self._closing.is_set():
            pause = LOOK
            try:
                shipment = self._shipment()
                waiting = shipment.waiting()
                since = (since or time.monotonic()) if waiting else None
                if waiting:
                    # Not when the first segment is due: a task that ends before would wait for it.
                    self._prepare()
                full = waiting >= LARGEST_SEGMENT
                if full or (since is not None and time.monotonic() - since >= self._hold):
                    read = time.monotonic()
                    shipment.step()
                    # What came while this was sent is as old as that.
                    since = read if shipment.waiting() else None
                    failures, self.problem = 0, ""
                    shipment.prepare()
                    pause = 0.0 if full else LOOK
            except Locked:
                self.problem, pause = _LOCKED, _LOCK_PAUSE
            except (StoreError, ServiceError, OSError) as error:
                failures += 1
                self.problem = str(error)
                pause = min(2.0**failures, _LONGEST_PAUSE)
            self._closing.wait(pause)

    def _finish(self) -> None:
        failing = time.monotonic() if self.problem else None
        pause = 0.25
        while not self._abandoned:
            try:
                shipment = self._shipment()
                self._prepare()
                shipment.finish()
                self.problem = ""
                return
            except (Unreachable, Locked) as error:
                self.problem = _LOCKED if isinstance(error, Locked) else str(error)
                now = time.monotonic()
                if failing is None or (self._begun is not None and self._begun.moved > failing):
                    failing = now
                if now - failing > min(FAILING, PATIENCE):
                    return
            except (Denied, NoBucket, StoreError, ServiceError, OSError) as error:
                self.problem = str(error)
                return
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _prepare(self) -> None:
        """Open the store, once: imports, credentials and the first names are looked up under the fork's lock."""
        if self._writer.is_open:
            return
        with _forks.lock:
            store = self._open_store()
            store.connect()
            "a.b".encode("idna")  # imports the codec that looking up a host's address needs
        self._writer.open(store)


class _LazyWriter(Writer):
    """A writer whose store is opened when it is needed first."""

    def __init__(self, relative: str) -> None:
        super().__init__(None, relative)  # type: ignore[arg-type]  # until it is opened
        self.is_open = False

    @property
    def alive(self) -> float:
        """When by time.monotonic() the store last got on."""
        return self.store.alive if self.is_open else 0.0

    def open(self, store: ObjectStore) -> None:
        store.is_alive()
        self.store = store
        self.is_open = True


class _Forks:
    """A lock that a fork waits for, some seconds at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._watching = False
        self._taken = False

    def watch(self) -> None:
        if not self._watching:
            self._watching = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._after, after_in_child=self._in_child
            )

    def _before(self) -> None:
        self._taken = self.lock.acquire(timeout=_FORK_PATIENCE)

    def _after(self) -> None:
        if self._taken:
            self._taken = False
            self.lock.release()

    def _in_child(self) -> None:
        self.lock = threading.Lock()
        self._taken = False


_forks = _Forks()
