"""Whether the CDN answers, found out by asking it, not by waiting for users to tell.

Each worker process of the webserver has one thread that asks (`cdn_check`). While
the answers fail, the webserver hands out its own URLs.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_service.asset_manifest import Manifest
from airflow_service.cdn_check import CdnCheck

log = logging.getLogger(__name__)

FAILURES_TO_LEAVE = 3
SUCCESSES_TO_RETURN = 2
# Of the time between two checks. With 15 seconds: 3 for an answer, 5 to the next try after a failure.
_TIMEOUT_SHARE = 1 / 5
_RETRY_SHARE = 1 / 3
# A check that hangs where no time limit reaches, as in a name server, must not keep the CDN in use.
_SILENCE = 3
_JITTER = 0.1
# Not the module's own generator: its state is the whole process's, and after a fork each worker's the same.
_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Checks:
    """How often, and how patiently, the CDN is asked; in seconds."""

    interval: float

    @property
    def timeout(self) -> float:
        return self.interval * _TIMEOUT_SHARE

    @property
    def retry(self) -> float:
        return self.interval * _RETRY_SHARE


class CdnWatch:
    """The state of one CDN as one process sees it.

    `manifest` is that of the assets which pages name, `origin` the pages' own: scheme and host.
    """

    def __init__(self, cdn_url: str, manifest: Manifest, origin: str, checks: Checks) -> None:
        self.cdn_url = cdn_url
        self.checks = checks
        self._check = CdnCheck(cdn_url, manifest, origin)
        self._forget()
        # A process that was forked has the thread's traces, but not the thread.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._changing = threading.RLock()
        self._thread: threading.Thread | None = None
        self._first_answer = threading.Event()
        self._in_use = True
        self._in_a_row = 0
        self._problem = ""
        self._since = datetime.now(UTC)
        self._last_success = time.monotonic()

    def base(self) -> str:
        """The CDN's URL, or "" while it does not answer. The first call starts the checks, and waits."""
        if not self._first_answer.is_set():
            self._begin()
            # Workers come and go: one that believed in a dead CDN at first would hand out dead
            # addresses each time. So the first page waits for the first answer.
            # It may be long in coming: the time limit is each address's, and names are looked up without.
            if not self._first_answer.wait(2 * self.checks.timeout):
                self._leave("the first check has not ended yet")
                self._first_answer.set()
        return self.cdn_url if self._in_use_now() else ""

    def health(self) -> dict[str, str]:
        """For `/health`: the state as this process sees it, since when, and why. It waits for nothing."""
        self._begin()
        status = "checking"
        if self._first_answer.is_set():
            status = "healthy" if self._in_use_now() else "unhealthy"
        told = {"status": status, "url": self.cdn_url, "since": self._since.isoformat(timespec="seconds")}
        return {**told, "problem": self._problem} if status == "unhealthy" else told

    def _in_use_now(self) -> bool:
        if self._in_use and time.monotonic() - self._last_success > _SILENCE * self.checks.interval:
            self._leave("no check has ended for too long")
        return self._in_use

    def _begin(self) -> None:
        with self._changing:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cdn-watch", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        self._take(self._ask(), decisive=True)
        self._first_answer.set()
        while True:
            healthy = self._in_use and not self._problem
            pause = self.checks.interval if healthy else self.checks.retry
            time.sleep(pause * _RANDOM.uniform(1 - _JITTER, 1 + _JITTER))
            self._take(self._ask())

    def _ask(self) -> str:
        return self._check.ask(self.checks.timeout)

    def _take(self, problem: str, decisive: bool = False) -> None:
        """Count an answer; switch after enough in a row that say the other thing."""
        with self._changing:
            if not problem:
                self._last_success = time.monotonic()
            if problem or self._in_use:
                self._problem = problem
            if bool(problem) != self._in_use:
                self._in_a_row = 0
                return
            self._in_a_row += 1
            if problem and (decisive or self._in_a_row >= FAILURES_TO_LEAVE):
                self._leave(problem)
            elif not problem and (decisive or self._in_a_row >= SUCCESSES_TO_RETURN):
                self._switch(in_use=True, problem="")
                log.warning("The CDN is in use again: %s", self._check.url)

    def _leave(self, problem: str) -> None:
        with self._changing:
            if self._in_use:
                self._switch(in_use=False, problem=problem)
                log.warning("The CDN is out of use, and assets come from here: %s: %s", self._check.url, problem)

    def _switch(self, *, in_use: bool, problem: str) -> None:
        self._in_use, self._problem = in_use, problem
        self._in_a_row, self._since = 0, datetime.now(UTC)
