"""Verify an assertion: one signed text in, who it is for out, or the check that failed.

The signature and the claims that every token has are PyJWT's to check (`signed_token`).
What is added is what it leaves to its callers: which key, which header, how far ahead,
which role.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jwt

from airflow_service.gateway.identity import Identity
from airflow_service.gateway.key_set import Key
from airflow_service.gateway.keys import Keys
from airflow_service.gateway.settings import GatewaySettings
from airflow_service.gateway.signed_token import LEEWAY, ClaimChecks, SignedToken, decoded

MAX_LENGTH = 16384
"""Characters of an assertion."""
MAX_SUBJECT = 250
"""Characters of a user's name: what the table has room for."""
_MAX_KID = 256
_MAX_NAME = 200
_MAX_EMAIL = 320
# Keys that the assertion brings along, and ways to say that it is to be read otherwise.
_REFUSED_HEADERS = ("jku", "jwk", "x5u", "x5c", "crit", "zip", "cty", "enc", "b64")
_NOT_THREE_PARTS = "it is not three parts in base64url"
_TIMES = ("exp", "nbf", "iat")
_TIME_CLAIM = re.compile(r"\((exp|nbf|iat)\)")


class Refused(Exception):
    """An assertion that lets nobody in: the check that failed, and why, without a secret.

    `status` is 401, or 403 for somebody whom the gateway knows and this cluster does not.
    """

    def __init__(self, check: str, reason: str, status: int = 401) -> None:
        super().__init__(f"{check}: {reason}")
        self.check = check
        self.reason = reason
        self.status = status


class Verified(NamedTuple):
    """What an assertion says, and until when it may be believed."""

    identity: Identity
    expires: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    kid: str | None
    signer: Any


class Verifier:
    """Verifies assertions for one cluster."""

    def __init__(self, settings: GatewaySettings, keys: Keys) -> None:
        self.settings = settings
        self.keys = keys
        self._checks = ClaimChecks(settings.issuer, settings.audience)

    def verify(self, assertion: str) -> Verified:
        """All checks, none skipped for what has been seen before. Raises Refused."""
        if len(assertion) > MAX_LENGTH:
            raise Refused("form", f"it is longer than {MAX_LENGTH} characters")
        try:
            token = SignedToken(assertion)
        except ValueError:
            raise Refused("form", _NOT_THREE_PARTS) from None
        header = _header(token.header)
        if header.algorithm not in self.settings.algorithms:
            raise Refused("alg", f"{header.algorithm[:20]!r} is not in gateway_algorithms")
        if self.settings.signer is not None and header.signer != self.settings.signer:
            raise Refused("signer", "the header does not name gateway_signer")
        claims = self._claims(token, self._key(header))
        expires = self._expires(claims)
        subject = _subject(_claim(claims, self.settings.subject_claim))
        try:
            role = self.settings.role_map.role_of(_claim(claims, self.settings.role_claim))
        except ValueError as error:
            raise Refused("role", f"of {subject!r}: {error}", 403) from None
        name = _text(claims.get("name"), _MAX_NAME) or subject
        return Verified(Identity(subject, role, name, _text(claims.get("email"), _MAX_EMAIL)), expires)

    def _key(self, header: _Header) -> Key:
        key = self.keys.find(header.kid, header.algorithm)
        if key is not None:
            return key
        if not self.keys.may_be_asked_for(header.kid):
            raise Refused("kid", "there is none, or none that can stand in the URL of a key")
        if not self.keys.any():
            raise Refused("keys", f"there are none to verify with ({self.keys.problem or 'not read yet'})")
        if header.kid is None and self.keys.are_several(header.algorithm):
            raise Refused("kid", "there is none, and more than one key could be meant")
        if self.keys.knows(header.kid):
            raise Refused("alg", f"{header.algorithm} is not what the key is for")
        raise Refused("kid", f"the gateway has no key {str(header.kid)[:80]!r}; its keys are asked for anew")

    def _claims(self, token: SignedToken, key: Key) -> dict[str, Any]:
        try:
            return self._checks.claims(token.verified_payload(key))
        except Exception as error:  # whatever a forged one makes a library raise, it lets nobody in
            raise _refusal(error) from None

    def _expires(self, claims: dict[str, Any]) -> float:
        for name in _TIMES:
            # PyJWT reads texts and truth values as numbers.
            kind = type(claims.get(name, 0))
            if kind is not int and not (kind is float and math.isfinite(claims[name])):
                raise Refused(name, "it is no number of seconds")
        # Not as float yet: JSON's integers have no end.
        if claims["exp"] > time.time() + self.settings.max_lifetime + LEEWAY:
            raise Refused("exp", "it lies further ahead than gateway_max_lifetime allows")
        return float(claims["exp"])


# A gateway's assertions have the same few headers.
@lru_cache(maxsize=64)
def _header(segment: bytes) -> _Header:
    try:
        decoded(segment)
    except ValueError:
        raise Refused("form", _NOT_THREE_PARTS) from None
    try:
        header = jwt.get_unverified_header(segment + b".e30.")
    except Exception:  # as above
        raise Refused("header", "it cannot be read") from None
    for name in _REFUSED_HEADERS:
        if name in header:
            raise Refused("header", f"it has {name}")
    kind, algorithm, kid = header.get("typ", "JWT"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise Refused("header", "its typ is not JWT")
    if not isinstance(algorithm, str):
        raise Refused("alg", "there is none")
    if kid is not None and not (
        isinstance(kid, str) and 0 < len(kid) <= _MAX_KID and kid.isascii() and kid.isprintable()
    ):
        raise Refused("kid", f"it is no printable text of at most {_MAX_KID} characters")
    return _Header(algorithm, kid, header.get("signer"))


def _refusal(error: Exception) -> Refused:
    """In our words: the library's may quote the assertion."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return Refused("exp", "it has expired")
    if isinstance(error, jwt.ImmatureSignatureError):
        claim = "iat" if "(iat)" in str(error) else "nbf"
        return Refused(claim, "it lies in the future: the clocks differ, or it is not valid yet")
    if isinstance(error, jwt.InvalidAudienceError):
        return Refused("aud", "it is for another audience")
    if isinstance(error, jwt.InvalidIssuerError):
        return Refused("iss", "it is another issuer's")
    if isinstance(error, jwt.MissingRequiredClaimError):
        return Refused(error.claim, "there is none")
    if isinstance(error, jwt.InvalidSignatureError):
        return Refused("signature", "it does not fit the key")
    named = _TIME_CLAIM.search(str(error)) if isinstance(error, jwt.InvalidTokenError) else None
    if named is not None:
        return Refused(named[1], "it is no number of seconds")
    return Refused("form", f"it cannot be read ({type(error).__name__})")


def _claim(claims: dict[str, Any], name: str) -> Any:
    """The claim of this name, or what the name leads to, step by step at its dots."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(step)
    return found


def _subject(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refused("subject", "there is none")
    if len(value) > MAX_SUBJECT:
        raise Refused("subject", f"it is longer than {MAX_SUBJECT} characters")
    if value != value.strip() or not _can_be_shown(value):
        raise Refused("subject", "it holds characters that no name has")
    return value


def _text(value: Any, limit: int) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= limit and _can_be_shown(value) else None


def _can_be_shown(value: str) -> bool:
    """A template that forgets to escape is one too many."""
    return value.isprintable() and "<" not in value and ">" not in value and '"' not in value
