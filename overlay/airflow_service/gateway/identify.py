"""Who a header's value is from: verified once, and remembered until it expires."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from airflow_service.gateway.assertion import Refused, Verified, Verifier
from airflow_service.gateway.identity import Identity
from airflow_service.gateway.keys import Keys
from airflow_service.gateway.settings import GatewaySettings

REMEMBERED = 1024
"""Assertions whose verification is not repeated until they expire."""


class VerifiedAssertions:
    """Bounded memory of what was verified; nothing in it outlives its `exp` or its key."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._lock = threading.Lock()
        # Not a dict: to find the first of one, from which firsts are taken, takes ever longer.
        self._found: OrderedDict[str, tuple[int, Verified]] = OrderedDict()

    def get(self, assertion: str, generation: int) -> Identity | None:
        """Who an assertion is for, if that is known by keys of this generation."""
        kept = self._found.get(assertion)
        if kept is None or kept[0] != generation or time.time() >= kept[1].expires:
            return None
        return kept[1].identity

    def put(self, assertion: str, generation: int, verified: Verified) -> None:
        """Remember one, in place of the one that was remembered first if there are too many."""
        with self._lock:
            self._found.pop(assertion, None)
            while len(self._found) >= self._size:
                self._found.popitem(last=False)
            self._found[assertion] = (generation, verified)

    def __len__(self) -> int:
        return len(self._found)


class Identifier:
    """Decides who a request comes from."""

    def __init__(self, settings: GatewaySettings, keys: Keys) -> None:
        self.settings = settings
        self.keys = keys
        self._verifier = Verifier(settings, keys)
        self._verified = VerifiedAssertions()
        self._of_scheme_bearer = settings.header.lower() == "authorization"

    def identify(self, given: str | None) -> Identity:
        """The identity in the header's value as it came; None where there is no header. Raises Refused."""
        assertion = self._assertion(given)
        generation = self.keys.generation
        identity = self._verified.get(assertion, generation)
        if identity is None:
            verified = self._verifier.verify(assertion)
            identity = verified.identity
            self._verified.put(assertion, generation, verified)
        return identity

    def _assertion(self, given: str | None) -> str:
        header = self.settings.header
        if given is None:
            raise Refused("header", f"there is no {header}")
        if "," in given:
            # How a server hands on a header that came twice.
            raise Refused("header", f"{header} was given more than once")
        if self._of_scheme_bearer:
            scheme, _, given = given.partition(" ")
            if scheme.lower() != "bearer":
                raise Refused("header", f"{header} is not of the scheme Bearer")
        if not given:
            raise Refused("header", f"{header} is empty")
        return given
