"""Verify an assertion: one signed text in, who it is for out, or the check that failed.

The signature and the claims that every token has are PyJWT's to check. What is added
is what it leaves to its callers: which key, which header, how far ahead, which role.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt

from airflow_service.gateway.identity import Identity
from airflow_service.gateway.key_set import Key
from airflow_service.gateway.keys import Keys
from airflow_service.gateway.settings import GatewaySettings

LEEWAY = 30
"""Seconds by which the gateway's clock and this one may differ."""
MAX_LENGTH = 16384
"""Characters of an assertion."""
MAX_SUBJECT = 250
"""Characters of a user's name: what the table has room for."""
_MAX_KID = 256
_MAX_NAME = 200
_MAX_EMAIL = 320
_SEGMENT = r"[A-Za-z0-9_-]+={0,2}"
_FORM = re.compile(rf"{_SEGMENT}\.{_SEGMENT}\.{_SEGMENT}")
# Keys that the assertion brings along, and ways to say that it is to be read otherwise.
_REFUSED_HEADERS = ("jku", "jwk", "x5u", "x5c", "crit", "zip", "cty", "enc", "b64")
# A template that forgets to escape is one too many.
_NOT_IN_NAMES = frozenset('<>"')
# The user is gateway_subject_claim's, and is looked at here.
_FOR_ONE_AUDIENCE: jwt.types.Options = {
    "require": ["iss", "aud", "exp", "iat"],
    "verify_sub": False,
    "verify_jti": False,
}
_FOR_ANY_AUDIENCE: jwt.types.Options = {**_FOR_ONE_AUDIENCE, "require": ["iss", "exp"], "verify_aud": False}
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


@dataclass(frozen=True, slots=True)
class Verified:
    """What an assertion says, and until when it may be believed."""

    identity: Identity
    expires: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    kid: str | None
    signer: Any


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies assertions for one cluster."""

    settings: GatewaySettings
    keys: Keys

    def verify(self, assertion: str) -> Verified:
        """All checks, none skipped for what has been seen before. Raises Refused."""
        if len(assertion) > MAX_LENGTH:
            raise Refused("form", f"it is longer than {MAX_LENGTH} characters")
        if not _FORM.fullmatch(assertion):
            raise Refused("form", "it is not three parts in base64url")
        header = _header(assertion.partition(".")[0])
        if header.algorithm not in self.settings.algorithms:
            raise Refused("alg", f"{header.algorithm[:20]!r} is not in gateway_algorithms")
        if self.settings.signer is not None and header.signer != self.settings.signer:
            raise Refused("signer", "the header does not name gateway_signer")
        claims = self._claims(assertion, self._key(header))
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
        if not self.keys.any():
            raise Refused("keys", f"there are none to verify with ({self.keys.problem or 'not read yet'})")
        if self.keys.knows(header.kid):
            raise Refused("alg", f"{header.algorithm} is not what the key is for")
        raise Refused("kid", f"the gateway has no key {str(header.kid)[:80]!r}; its keys are asked for anew")

    def _claims(self, assertion: str, key: Key) -> dict[str, Any]:
        audience = self.settings.audience
        try:
            return jwt.decode(
                assertion,
                key.public,
                algorithms=[key.algorithm],
                issuer=self.settings.issuer,
                audience=audience,
                leeway=LEEWAY,
                options=_FOR_ANY_AUDIENCE if audience is None else _FOR_ONE_AUDIENCE,
            )
        except Exception as error:  # whatever a forged one makes a library raise, it lets nobody in
            raise _refusal(error) from None

    def _expires(self, claims: dict[str, Any]) -> float:
        for name in ("exp", "nbf", "iat"):
            # PyJWT reads texts and truth values as numbers.
            if name in claims and not _is_time(claims[name]):
                raise Refused(name, "it is no number of seconds")
        expires = float(claims["exp"])
        if expires > time.time() + self.settings.max_lifetime + LEEWAY:
            raise Refused("exp", "it lies further ahead than gateway_max_lifetime allows")
        return expires


# A gateway's assertions have the same few headers.
@lru_cache(maxsize=64)
def _header(segment: str) -> _Header:
    try:
        header = jwt.get_unverified_header(f"{segment}.e30.")
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


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # JSON's integers have no end
        return False


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
    if not value.isprintable() or value != value.strip() or not _NOT_IN_NAMES.isdisjoint(value):
        raise Refused("subject", "it holds characters that no name has")
    return value


def _text(value: Any, limit: int) -> str | None:
    fit = isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()
    return value if fit and _NOT_IN_NAMES.isdisjoint(value) else None
