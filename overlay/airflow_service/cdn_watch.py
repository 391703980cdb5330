"""Whether the CDN answers, found out by asking it, not by waiting for users to tell.

Each worker process of the webserver has one thread that asks for the manifest of
this version. While the answers fail, the webserver hands out its own URLs.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

log = logging.getLogger(__name__)

FAILURES_TO_LEAVE = 3
SUCCESSES_TO_RETURN = 2
# Of the time between two checks. With 15 seconds: 3 for an answer, 5 to the next try after a failure.
_TIMEOUT_SHARE = 1 / 5
_RETRY_SHARE = 1 / 3
# A check that hangs where no time limit reaches, as in a name server, must not keep the CDN in use.
_SILENCE = 3
_JITTER = 0.1
_BLOCK = 65536
# Not the module's own generator: its state is the whole process's, and after a fork each worker's the same.
_RANDOM = random.SystemRandom()


def manifest_url(cdn_url: str, version: str) -> str:
    """Where a version's manifest lies. `+` is encoded: S3 reads a bare one as a space."""
    return f"{cdn_url}/manifests/{quote(version, safe='')}.json"


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

    `manifest` is what the CDN must answer with, byte by byte: another version's
    manifest would mean other assets under the pages' names.
    """

    def __init__(self, cdn_url: str, version: str, manifest: bytes, checks: Checks) -> None:
        self.cdn_url = cdn_url
        self.checks = checks
        self._url = manifest_url(cdn_url, version)
        self._manifest = manifest
        self._etag = ""
        self._forget()
        # A process that was forked has the thread's traces, but not the thread.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._first_answer = threading.Event()
        self._in_use = True
        self._in_a_row = 0
        self._problem = ""
        self._since = datetime.now(UTC)
        self._last_success = time.monotonic()

    def base(self) -> str:
        """The CDN's URL, or "" while it does not answer. The first call starts the checks."""
        if not self._first_answer.is_set():
            self._begin()
        return self.cdn_url if self._in_use and not self._silent() else ""

    def health(self) -> dict[str, str]:
        """For `/health`: the state as this process sees it, since when, and why."""
        in_use = bool(self.base())
        told = {
            "status": "healthy" if in_use else "unhealthy",
            "url": self.cdn_url,
            "since": self._since.isoformat(timespec="seconds"),
        }
        if not in_use:
            told["problem"] = self._problem or "no check has ended for too long"
        return told

    def _silent(self) -> bool:
        return time.monotonic() - self._last_success > _SILENCE * self.checks.interval

    def _begin(self) -> None:
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cdn-watch", daemon=True)
                self._thread.start()
        # Workers come and go: one that believed in a dead CDN at first would hand out dead
        # addresses each time. So the first page waits for the first answer.
        # It may be long in coming: the time limit is each address's, and names are looked up without.
        if not self._first_answer.wait(2 * self.checks.timeout):
            self._in_use = False
            self._first_answer.set()

    def _run(self) -> None:
        self._take(self._ask(), decisive=True)
        self._first_answer.set()
        while True:
            healthy = self._in_use and not self._problem
            pause = self.checks.interval if healthy else self.checks.retry
            time.sleep(pause * _RANDOM.uniform(1 - _JITTER, 1 + _JITTER))
            self._take(self._ask())

    def _take(self, problem: str, decisive: bool = False) -> None:
        """Count an answer; switch after enough in a row that say the other thing."""
        if not problem:
            self._last_success = time.monotonic()
        self._problem = problem
        if bool(problem) != self._in_use:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        needed = FAILURES_TO_LEAVE if problem else SUCCESSES_TO_RETURN
        if self._in_a_row >= needed or decisive:
            self._in_use, self._in_a_row, self._since = not problem, 0, datetime.now(UTC)
            if problem:
                log.warning("The CDN is out of use, and assets come from here: %s: %s", self._url, problem)
            else:
                log.warning("The CDN is in use again: %s", self._url)

    def _ask(self) -> str:
        """What is wrong with the CDN's answer, or nothing."""
        headers = {"User-Agent": "airflow-service", "Cache-Control": "no-cache"}
        if self._etag:
            headers["If-None-Match"] = self._etag
        deadline = time.monotonic() + self.checks.timeout
        try:
            with requests.get(self._url, headers=headers, timeout=self.checks.timeout, stream=True) as answer:
                if answer.status_code == 304 and self._etag:
                    return ""
                if answer.status_code != 200:
                    return f"it answers {answer.status_code}"
                problem = self._compare(answer, deadline)
                self._etag = "" if problem else answer.headers.get("ETag", "")
                return problem
        except (requests.Timeout, TimeoutError, ReadTimeoutError):
            return self._too_slow()
        except (requests.RequestException, HTTPError) as error:
            return f"no answer ({type(error).__name__})"
        except Exception as error:  # the checks go on, whatever a proxy or a library comes up with
            log.exception("The check of the CDN failed")
            return f"the check failed ({type(error).__name__})"

    def _compare(self, answer: requests.Response, deadline: float) -> str:
        received = b""
        # read1 gives what is there: a server that drips is noticed between two drops.
        while block := answer.raw.read1(_BLOCK, decode_content=True):
            received += block
            if time.monotonic() > deadline:
                return self._too_slow()
            if len(received) > len(self._manifest):
                break
        return "" if received == self._manifest else "it has another manifest under this version's name"

    def _too_slow(self) -> str:
        return f"no whole answer within {self.checks.timeout:g} seconds"
