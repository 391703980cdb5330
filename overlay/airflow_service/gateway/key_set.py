"""Public keys as a gateway publishes them, read strictly: what is not understood is no key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from airflow_service.gateway.options import SECRET_ALGORITHM

log = logging.getLogger(__name__)

MAX_KEYS = 100
_RSA_BITS = 2048
_SECRET_BYTES = 32


class NoKeys(Exception):
    """What was read holds no key that could be used; the message says why, and quotes none."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, and the one algorithm that it is for."""

    kid: str | None
    algorithm: str
    public: Any = field(repr=False)
    """As PyJWT takes it: a key of `cryptography`, or the bytes of a secret."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys that are in force together."""

    keys: tuple[Key, ...] = ()

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of an id, if it is for this algorithm.

        An assertion without an id may be meant for one key only: None if several would do.
        """
        if kid is None:
            fitting = self._of(algorithm)
            return fitting[0] if len(fitting) == 1 else None
        for key in self.keys:
            if key.kid == kid and key.algorithm == algorithm:
                return key
        return None

    def are_several(self, algorithm: str) -> bool:
        """Whether an assertion without an id could be meant for more than one key."""
        return len(self._of(algorithm)) > 1

    def _of(self, algorithm: str) -> list[Key]:
        return [key for key in self.keys if key.algorithm == algorithm]

    def knows(self, kid: str | None) -> bool:
        """Whether there is a key of this id, whatever it is for."""
        return kid is None or any(key.kid == kid for key in self.keys)


def read_key_set(raw: bytes, *, secrets_allowed: bool) -> KeySet:
    """A JSON Web Key Set (RFC 7517). Keys of other kinds and uses are passed over, as it says.

    `secrets_allowed` takes shared secrets (`oct`) too. Raises NoKeys.
    """
    try:
        listed = json.loads(raw)
    except (ValueError, RecursionError):
        raise NoKeys("it is not JSON") from None
    entries = listed.get("keys") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        raise NoKeys('it is not an object with a list of "keys"')
    if len(entries) > MAX_KEYS:
        raise NoKeys(f"it holds more than {MAX_KEYS} keys")
    return KeySet(tuple(_usable(entries, secrets_allowed)))


def read_pem(raw: bytes, kid: str) -> KeySet:
    """One public key in PEM form. Raises NoKeys."""
    try:
        public = load_pem_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NoKeys("it is no public key in PEM form") from None
    algorithm = _algorithm_of(public)
    if algorithm is None:
        raise NoKeys("it is a key of a kind that is not used here")
    return KeySet((Key(kid, algorithm, public),))


def _usable(entries: Iterable[Any], secrets_allowed: bool) -> Iterable[Key]:
    seen: set[tuple[str | None, str]] = set()
    skipped: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            key = _key(entry, secrets_allowed)
            if (key.kid, key.algorithm) in seen:
                raise NoKeys("another has the same kid")
        except NoKeys as error:
            skipped.append(f"{number}: {error}")
            continue
        seen.add((key.kid, key.algorithm))
        yield key
    if not seen:
        raise NoKeys("it holds no key to verify with" + (f" ({'; '.join(skipped[:5])})" if skipped else ""))
    if skipped:
        log.info("Of the gateway's keys these were passed over: %s", "; ".join(skipped[:5]))


def _key(entry: Any, secrets_allowed: bool) -> Key:
    if not isinstance(entry, dict):
        raise NoKeys("it is no object")
    kid, use, operations = entry.get("kid"), entry.get("use", "sig"), entry.get("key_ops", ["verify"])
    if kid is not None and not (isinstance(kid, str) and kid):
        raise NoKeys("its kid is no text")
    if use != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise NoKeys("it is not for signatures")
    if entry.get("kty") == "oct":
        if not secrets_allowed:
            raise NoKeys("it is a secret, which only a file may hold")
    elif "d" in entry:
        raise NoKeys("it is a private key, which should be nowhere but at the gateway")
    algorithm, public = _material(entry)
    if entry.get("alg", algorithm) != algorithm:
        raise NoKeys("its alg is not used here")
    return Key(kid, algorithm, public)


def _material(entry: dict[str, Any]) -> tuple[str, Any]:
    # Without its own alg: PyJWT would read an RSA key as one for PS512, if it says so.
    bare = {name: value for name, value in entry.items() if name != "alg"}
    try:
        key = jwt.PyJWK(bare)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError, UnsupportedAlgorithm):
        raise NoKeys("it is of a kind that is not used here, or damaged") from None
    if entry.get("kty") == "oct":
        if len(key.key) < _SECRET_BYTES:
            raise NoKeys(f"it is a secret of less than {_SECRET_BYTES} bytes")
        return SECRET_ALGORITHM, key.key
    algorithm = _algorithm_of(key.key)
    if algorithm is None:
        raise NoKeys("it is of a kind that is not used here, or too short")
    return algorithm, key.key


def _algorithm_of(public: Any) -> str | None:
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return "ES256"
    if isinstance(public, RSAPublicKey) and public.key_size >= _RSA_BITS:
        return "RS256"
    if isinstance(public, Ed25519PublicKey):
        return "EdDSA"
    return None
