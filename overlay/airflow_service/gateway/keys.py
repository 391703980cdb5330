"""The gateway's keys in force, renewed by a thread of each process: no request waits for that.

Only where there are no keys yet does the first request wait a little for them. An
assertion whose key is not known is refused at once, and has the keys renewed early.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from airflow_service.gateway.key_set import Key, KeySet, NoKeys
from airflow_service.gateway.key_source import Fetcher, Gone
from airflow_service.gateway.options import KeySource

log = logging.getLogger(__name__)

# Keys that have a URL each: how many are remembered, how many may be asked for at a time, how many
# ids wait for their turn, and of how many it is remembered that there is no such key.
_REMEMBERED = 32
_AT_A_TIME = 8
_WAITING = 64
_NOT_THERE = 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """How often keys are renewed; in seconds."""

    file: float = 2.0
    """Between two looks at a file, which is read only if it has changed."""
    url: float = 60.0
    """Between two requests for a set of keys."""
    one: float = 3600.0
    """Between two requests for a key that has a URL of its own."""
    retry: float = 5.0
    """After a failure."""
    unknown: float = 10.0
    """The least time between two renewals that unknown ids bring about. Where each has a URL, that between
    two requests for the same one; renewals then may follow each other after a tenth."""
    first: float = 3.0
    """How long a request waits while there are no keys at all."""


class Keys:
    """The keys of one source as one process sees them.

    `generation` is another number after each change: what was verified with keys of an
    older one has to be verified anew.
    """

    def __init__(self, source: KeySource, pace: Pace | None = None) -> None:
        self.source = source
        self.generation = 0
        self._pace = pace or Pace()
        self._fetcher = Fetcher(source)
        self._set = KeySet()
        self._by_id: OrderedDict[str, KeySet] = OrderedDict()
        self._due = 0.0
        self._stamp: object = None
        self._problem = ""
        self._ended = False
        self._forget()
        # A process that was forked has the thread's traces, but not the thread.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._tried = threading.Event()
        self._wake = threading.Event()
        self._waiting: list[str] = []
        self._not_there: OrderedDict[str, float] = OrderedDict()

    @property
    def problem(self) -> str:
        """Why the last renewal failed; empty if it did not."""
        return self._problem

    def any(self) -> bool:
        """Whether there are keys at all."""
        return bool(self._set.keys)

    def knows(self, kid: str | None) -> bool:
        """Whether there is a key of this id, whatever it is for."""
        return self._set.knows(kid)

    def are_several(self, algorithm: str) -> bool:
        """Whether an assertion without an id could be meant for more than one key."""
        return self._set.are_several(algorithm)

    def may_be_asked_for(self, kid: str | None) -> bool:
        """Whether there is any use in asking for the key of an id."""
        return not self._fetcher.by_id or (kid is not None and self._fetcher.may_ask_for(kid))

    def end(self) -> None:
        """Renew the keys no more; those that are there stay."""
        self._ended = True
        self._wake.set()

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of an id for an algorithm. An id that is not known is asked for, in the background."""
        if self._thread is None:
            self.begin()
        if not self.may_be_asked_for(kid):
            return None
        key = self._set.find(kid, algorithm)
        if key is not None:
            return key
        if not self._set.keys or not self._set.knows(kid):
            self._want(kid)
            if not self._set.keys:
                self._tried.wait(self._pace.first)
        return self._set.find(kid, algorithm)

    def begin(self) -> None:
        """Start to renew the keys, if this process does not yet."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gateway-keys", daemon=True)
                thread.start()
                self._thread = thread

    def _want(self, kid: str | None) -> None:
        if kid is not None and self._fetcher.by_id:
            with self._lock:
                if kid in self._waiting or time.monotonic() < self._not_there.get(kid, 0.0):
                    return
                # Made-up ids cannot be told from new ones: each may take the place of any other, so
                # that a flood of them holds no place, and whose id is given again is asked for soon.
                if len(self._waiting) >= _WAITING:
                    self._waiting.pop(random.randrange(_WAITING))
                self._waiting.append(kid)
        self._wake.set()

    def _run(self) -> None:
        by_id = self._fetcher.by_id
        least = self._pace.unknown / 10 if by_id else min(self._pace.unknown, self._interval())
        if by_id:
            self._wake.wait()
        while not self._ended:
            self._wake.clear()
            try:
                self._renew()
            except Exception:  # the renewals go on, whatever a proxy or a library comes up with
                log.exception("The renewal of the gateway's keys failed")
                self._problem = "the renewal itself failed"
            self._tried.set()
            pause = self._pace.retry if self._problem else self._interval()
            time.sleep(min(least, pause))
            self._wake.wait(max(pause - least, 0))

    def _interval(self) -> float:
        if self._fetcher.by_id:
            return max(self._due - time.monotonic(), 0.0)
        return self._pace.file if self.source.path else self._pace.url

    def _renew(self) -> None:
        try:
            if self._fetcher.by_id:
                self._renew_by_id()
                self._told("")
                return
            stamp = self._fetcher.stamp()
            if stamp is None or stamp != self._stamp or self._problem:
                self._take(self._fetcher.all())
                self._stamp = stamp
            self._told("")
        except NoKeys as error:
            self._told(str(error))

    def _renew_by_id(self) -> None:
        """Some of what was asked for, in any order, and each key that is remembered, if that is due."""
        with self._lock:
            random.shuffle(self._waiting)
            wanted = [self._waiting.pop() for _ in range(min(_AT_A_TIME, len(self._waiting)))]
        if time.monotonic() >= self._due:
            wanted += self._by_id
            self._due = time.monotonic() + self._pace.one
        trouble: NoKeys | None = None
        for kid in wanted:
            remembered = kid in self._by_id
            try:
                self._by_id[kid] = self._fetcher.one(kid)
                self._by_id.move_to_end(kid)
            except NoKeys as error:
                if isinstance(error, Gone):
                    self._by_id.pop(kid, None)
                    self._remember_not_there(kid)
                elif remembered:
                    self._due = time.monotonic() + self._pace.retry
                # A made-up id says nothing about the keys, once there are some.
                trouble = error if remembered or not isinstance(error, Gone) or not self._by_id else trouble
        while len(self._by_id) > _REMEMBERED:
            self._by_id.popitem(last=False)
        self._take(KeySet(tuple(key for found in self._by_id.values() for key in found.keys)))
        if self._waiting:
            self._wake.set()
        if trouble is not None:
            raise trouble

    def _remember_not_there(self, kid: str) -> None:
        with self._lock:
            self._not_there[kid] = time.monotonic() + self._pace.unknown
            self._not_there.move_to_end(kid)
            while len(self._not_there) > _NOT_THERE:
                self._not_there.popitem(last=False)

    def _take(self, found: KeySet) -> None:
        # Keys of cryptography compare by their numbers.
        if found != self._set:
            self._set = found
            self.generation += 1
            log.info("The gateway's keys are new: %s", ", ".join(repr(key.kid)[:80] for key in found.keys))

    def _told(self, problem: str) -> None:
        if problem and problem != self._problem:
            kept = "those of before stay in use" if self._set.keys else "nobody is let in"
            log.warning("The gateway's keys cannot be renewed, and %s: %s: %s", kept, self.source, problem)
        elif self._problem and not problem:
            log.warning("The gateway's keys can be renewed again: %s", self.source)
        self._problem = problem
