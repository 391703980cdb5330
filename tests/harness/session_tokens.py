"""Session tokens before a store that knows none: checked as S3 does, and taken out of the request.

Source: "Signature Version 4 for API requests" of AWS, with S3's own rule that a path is encoded once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

Headers = list[tuple[str, ...]]
_TOKEN = "x-amz-security-token"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), "
    r"SignedHeaders=(?P<signed>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


class Refused(Exception):
    """The code of S3's error."""


def without_token(method: str, target: str, headers: Headers, tokens: Mapping[str, set[str]]) -> Headers:
    """The request's headers, signed anew without the token; Refused if it is none of its key's, or not signed.

    `tokens` has those of each access key, whose secret is the key with "-secret" behind it.
    """
    sent = {name.lower(): " ".join(value.split()) for name, value in headers}
    found = _AUTHORIZATION.fullmatch(sent.get("authorization", ""))
    if found is None or found["key"] not in tokens:
        raise Refused("InvalidAccessKeyId")
    signed = found["signed"].split(";")
    if _TOKEN not in signed or sent.get(_TOKEN) not in tokens[found["key"]]:
        raise Refused("InvalidToken")
    secret = f"{found['key']}-secret"
    if _signature(method, target, sent, signed, found["scope"], secret) != found["signature"]:
        raise Refused("SignatureDoesNotMatch")
    signed.remove(_TOKEN)
    signature = _signature(method, target, sent, signed, found["scope"], secret)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={found['key']}/{found['scope']}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}"
    )
    kept = [one for one in headers if one[0].lower() not in (_TOKEN, "authorization")]
    return [*kept, ("Authorization", authorization)]


def _signature(
    method: str, target: str, sent: Mapping[str, str], signed: list[str], scope: str, secret: str
) -> str:
    """Of a request as it came; its path and query are encoded already."""
    parts = urlsplit(target)
    query = sorted(one if "=" in one else f"{one}=" for one in parts.query.split("&") if one)
    canonical = "\n".join(
        [
            method,
            parts.path,
            "&".join(query),
            *(f"{name}:{sent.get(name, '')}" for name in signed),
            "",
            ";".join(signed),
            sent["x-amz-content-sha256"],
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for one in scope.split("/"):
        key = hmac.digest(key, one.encode(), "sha256")
    text = "\n".join(["AWS4-HMAC-SHA256", sent["x-amz-date"], scope, digest])
    return hmac.digest(key, text.encode(), "sha256").hex()
