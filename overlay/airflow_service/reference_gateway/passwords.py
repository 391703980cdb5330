"""Passwords of the reference gateway: their hashes, and trying one."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from werkzeug.security import check_password_hash, generate_password_hash

from airflow_service.reference_gateway.store import Store

LEAST = 12
"""The fewest characters of a password that somebody thought of."""
_MOST = 1000
# A hash takes 32 MB and a good part of a second's work: no more than so many at a time.
_AT_ONCE = 2


def generated() -> str:
    """A password with 120 random bits."""
    return secrets.token_urlsafe(15)


def hashed(password: str) -> str:
    """Its scrypt hash, with salt and parameters."""
    made: str = generate_password_hash(password, method="scrypt")
    return made


class Busy(Exception):
    """As many passwords as can be are being tried; nobody waits for a turn."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Tries passwords, and takes as long over a user whom nobody knows."""

    store: Store
    nobody: str = field(default_factory=lambda: hashed(generated()))
    turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_AT_ONCE))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One of the few at a time that try a password; raises Busy if there is none left.

        A login that waited would hold one of the threads that answer for all clusters.
        """
        if not self.turns.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self.turns.release()

    def fit(self, user: str, password: str) -> bool:
        """Whether this is the user's password; asked within a turn."""
        known = self.store.password(user)
        fits = check_password_hash(known or self.nobody, password[:_MOST])
        return fits and known is not None and len(password) <= _MOST
