"""A signed token, read once; PyJWT verifies its signature and its claims.

`jwt.decode` would read the header again, which says which key to decode with, look at each
character in Python, and prepare the key for each token: as much as half of the signature's
own verification, and a request waits for it. What PyJWT has behind that is called here.
"""

from __future__ import annotations

import binascii
import json
from typing import Any

import jwt

from airflow_service.gateway.key_set import Key
from airflow_service.gateway.options import ALGORITHMS

LEEWAY = 30
"""Seconds by which the gateway's clock and this one may differ."""
# base64url as plain base64; what only the latter has comes out as what neither has.
_TO_PLAIN = bytes.maketrans(b"-_+/", b"+/\0\0")
_ALGORITHMS = {name: jwt.get_algorithm_by_name(name) for name in ALGORITHMS}
# The user is gateway_subject_claim's, and is looked at where that is known.
_FOR_ONE_AUDIENCE: jwt.types.Options = {
    "require": ["iss", "aud", "exp", "iat"],
    "verify_sub": False,
    "verify_jti": False,
}
_FOR_ANY_AUDIENCE: jwt.types.Options = {**_FOR_ONE_AUDIENCE, "require": ["iss", "exp"], "verify_aud": False}


class SignedToken:
    """The parts of a token (RFC 7515, section 7.1), of which nothing has been verified yet."""

    __slots__ = ("_payload", "_signature", "_signed", "header")

    def __init__(self, text: str) -> None:
        """Raises ValueError for what is not three parts in base64url."""
        try:
            self._signed, signature = text.encode("ascii").rsplit(b".", 1)
            self.header, payload = self._signed.split(b".", 1)
        except ValueError:
            raise ValueError("it is not three parts") from None
        self._payload = decoded(payload)
        self._signature = decoded(signature)

    def verified_payload(self, key: Key) -> bytes:
        """What the token says, if the key has signed it. Raises jwt.InvalidSignatureError if not."""
        if _ALGORITHMS[key.algorithm].verify(self._signed, key.public, self._signature) is not True:
            raise jwt.InvalidSignatureError
        return self._payload


class ClaimChecks(jwt.PyJWT):
    """PyJWT's checks of the claims that every token has, for one issuer."""

    def __init__(self, issuer: str, audience: str | None) -> None:
        super().__init__(_FOR_ANY_AUDIENCE if audience is None else _FOR_ONE_AUDIENCE)
        self._issuer = issuer
        self._audience = audience

    def claims(self, payload: bytes) -> dict[str, Any]:
        """The claims of a verified payload. Raises jwt.InvalidTokenError, or ValueError if it is not JSON."""
        claims = json.loads(str(payload, "utf-8"))
        if not isinstance(claims, dict):
            raise ValueError("it is no object")
        # The library's own step behind `decode`, which has no public name. Without it nobody is let in.
        self._validate_claims(
            claims, self.options, audience=self._audience, issuer=self._issuer, leeway=LEEWAY
        )
        return claims


def decoded(segment: bytes) -> bytes:
    """base64url in its one spelling, with all of its padding or none (AWS sends it). Raises ValueError."""
    plain = segment.translate(_TO_PLAIN)
    if len(plain) % 4 and not plain.endswith(b"="):
        plain += b"==="[: -len(plain) % 4]
    decoded = binascii.a2b_base64(plain)
    # Which other spellings, and other characters, do not lead back to.
    if not decoded or binascii.b2a_base64(decoded, newline=False) != plain:
        raise ValueError("it is not base64url in its one spelling")
    return decoded
