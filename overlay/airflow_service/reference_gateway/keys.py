"""The keys that the reference gateway signs with, and the assertions it makes."""

from __future__ import annotations

import json
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from airflow_service.reference_gateway.store import Store

PUBLISHED_BEFORE = 120
"""Seconds from a key's publication to its first signature: webservers ask for the keys once a minute."""
# Seconds that a webserver's clock may be behind, and a request may take to get to it.
_SLACK = 300
# Assertions that are kept to be handed out again.
_KEPT = 1000


@dataclass(slots=True)
class Signer:
    """Makes assertions; the keys are the store's, so that another process may rotate them."""

    store: Store
    issuer: str
    assertion_seconds: int
    key_days: int
    _made: OrderedDict[tuple[str, ...], tuple[str, float]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def assertion(self, user: str, cluster: str, role: str, now: float) -> str:
        """A signed token that says who asks for what, in which role.

        The same one serves for half its life, so that whoever verifies it can remember
        that: a page is many requests.
        """
        kid, private = self._current(now)
        who = (kid, user, cluster, role)
        with self._lock:
            known, made = self._made.get(who, ("", 0.0))
        if known and 0 <= now - made < self.assertion_seconds / 2:
            return known
        began = int(now)
        claims = {
            "iss": self.issuer, "aud": cluster, "sub": user, "role": role,
            "iat": began, "exp": began + self.assertion_seconds,
        }  # fmt: skip
        token: str = jwt.encode(claims, _loaded(private), "ES256", {"kid": kid})
        with self._lock:
            self._made[who] = token, now
            self._made.move_to_end(who)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return token

    def rotate(self, now: float, *, at_once: bool = False) -> str:
        """Make a new key; returns its id.

        It is published now, and signs when every webserver has it; the old one goes on
        until then. `at_once` is for a key that somebody else may have: it is gone with
        this, and what it signed is refused as soon as a webserver asks for the keys.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        kid = secrets.token_hex(8)
        public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        told = json.dumps({**public, "kid": kid, "use": "sig", "alg": "ES256"})
        with self.store.writing() as database:
            if at_once:
                database.execute("DELETE FROM keys")
            # One that waits already need not wait for another.
            waiting = database.execute("SELECT kid FROM keys WHERE starts > ?", (now,)).fetchone()
            if waiting:
                return str(waiting[0])
            first = database.execute("SELECT 1 FROM keys").fetchone() is None
            starts = now if first else now + PUBLISHED_BEFORE
            database.execute("INSERT INTO keys VALUES (?, ?, ?, ?, NULL)", (kid, private, told, starts))
        return kid

    def key_set(self, now: float) -> dict[str, list[Any]]:
        """The public keys, as a JWKS (RFC 7517), the newest first."""
        self._current(now)
        with self.store.reading() as database:
            rows = database.execute(
                "SELECT public FROM keys WHERE ended IS NULL OR ended > ? ORDER BY starts DESC",
                (self._forgotten(now),),
            ).fetchall()
        return {"keys": [json.loads(public) for (public,) in rows]}

    def _current(self, now: float) -> tuple[str, str]:
        """The key to sign with. If it is too old another is made, and those before it are ended."""
        with self.store.reading() as database:
            rows = database.execute(
                "SELECT kid, private, starts FROM keys WHERE private IS NOT NULL AND starts <= ?"
                " ORDER BY starts DESC LIMIT 2",
                (now,),
            ).fetchall()
        if not rows:
            self.rotate(now)
            return self._current(now)
        kid, private, starts = rows[0]
        if len(rows) > 1:
            self._end_before(starts, now)
        if starts <= now - self.key_days * 86400:
            self.rotate(now)
        return str(kid), str(private)

    def _end_before(self, starts: float, now: float) -> None:
        """Remove the private halves of the keys before one, and what no assertion needs any more."""
        with self.store.writing() as database:
            database.execute(
                "UPDATE keys SET private = NULL, ended = ? WHERE starts < ? AND ended IS NULL", (now, starts)
            )
            database.execute("DELETE FROM keys WHERE ended < ?", (self._forgotten(now),))

    def _forgotten(self, now: float) -> float:
        return now - self.assertion_seconds - _SLACK


@lru_cache(maxsize=4)
def _loaded(private: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(private.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the store holds a key of another kind")
    return key
