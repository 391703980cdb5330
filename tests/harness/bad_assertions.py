"""Assertions that let nobody in, each with the check that refuses it.

A case makes its assertion when it is asked to, since good times are near ones.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from harness.assertions import CLUSTER, ISSUER, Gateway, base64url

STRANGER = Gateway()
"""Signs as well as the gateway, with keys that nobody publishes."""


@dataclass(frozen=True)
class Bad:
    """One way to be wrong: what the header holds, if it is there at all."""

    name: str
    check: str
    """What the log line has to name; several with a `|` between, where it may be either."""
    make: Callable[[Gateway], str | None]


def _header(**changes: Any) -> Callable[[Gateway], str | None]:
    return lambda gateway: gateway.sign(headers=changes)


def _claims(**changes: Any) -> Callable[[Gateway], str | None]:
    return lambda gateway: gateway.sign(**changes)


def _soon(claim: str, seconds: float) -> Callable[[Gateway], str | None]:
    return lambda gateway: gateway.sign(**{claim: int(time.time() + seconds)})


def _payload(text: bytes) -> Callable[[Gateway], str | None]:
    """A payload as it stands, `NOW` being an `exp` that holds."""

    def make(gateway: Gateway) -> str:
        header = json.dumps({"alg": "ES256", "kid": gateway.kid("ES256")}).encode()
        return gateway.raw(header, text.replace(b"NOW", str(int(time.time()) + 60).encode()))

    return make


def _with(part: bytes) -> Callable[[Gateway], str | None]:
    """A good payload in which one claim is written as no JSON library would."""
    rest = {"iss": ISSUER, "aud": CLUSTER, "sub": "ann", "role": "user"}
    return _payload(json.dumps(rest).encode()[:-1] + b', "iat": 1, ' + part + b"}")


def _parts(change: Callable[[list[str]], list[str]]) -> Callable[[Gateway], str | None]:
    return lambda gateway: ".".join(change(gateway.sign().split(".")))


def _unsigned(algorithm: Any, signature: str = "") -> Callable[[Gateway], str | None]:
    def make(gateway: Gateway) -> str:
        header = json.dumps({"alg": algorithm, "typ": "JWT", "kid": gateway.kid("ES256")}).encode()
        return f"{base64url(header)}.{base64url(json.dumps(gateway.claims()).encode())}.{signature}"

    return make


def _by_secret(secret: Callable[[Gateway], bytes], kid: str = "ES256") -> Callable[[Gateway], str | None]:
    """HS256 with something that is public for a secret."""

    def make(gateway: Gateway) -> str:
        header = json.dumps({"alg": "HS256", "kid": gateway.kid(kid)}).encode()
        return gateway.raw(header, json.dumps(gateway.claims()).encode(), "HS256", secret(gateway))

    return make


def _as_admin(gateway: Gateway) -> str:
    head, _, signature = gateway.sign().split(".")
    return f"{head}.{base64url(json.dumps(gateway.claims(role='admin')).encode())}.{signature}"


def _signed_by(algorithm: str, claimed: str) -> Callable[[Gateway], str | None]:
    """Signed with one algorithm, and called another."""

    def make(gateway: Gateway) -> str:
        header = json.dumps({"alg": claimed, "kid": gateway.kid(algorithm)}).encode()
        return gateway.raw(header, json.dumps(gateway.claims()).encode(), algorithm)

    return make


def _in_der(gateway: Gateway) -> str:
    head, body, signature = gateway.sign().split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return f"{head}.{body}.{base64url(der)}"


def _carried() -> Iterator[Bad]:
    """How it comes."""
    yield Bad("no header", "header", lambda gateway: None)
    yield Bad("empty", "header", lambda gateway: "")
    yield Bad("one space", "form", lambda gateway: " ")
    yield Bad("twice, joined", "header", lambda gateway: f"{gateway.sign()}, {gateway.sign()}")
    yield Bad("twice, joined closely", "header", lambda gateway: f"{gateway.sign()},{gateway.sign()}")
    yield Bad("twice, the first empty", "header", lambda gateway: f",{gateway.sign()}")
    yield Bad("twice, by a semicolon", "form", lambda gateway: f"{gateway.sign()};{gateway.sign()}")
    yield Bad("twice, by a space", "form", lambda gateway: f"{gateway.sign()} {gateway.sign()}")
    yield Bad("with a scheme", "form", lambda gateway: f"Bearer {gateway.sign()}")
    yield Bad("as a cookie", "form", lambda gateway: f"assertion={gateway.sign()}")
    yield Bad("quoted", "form", lambda gateway: f'"{gateway.sign()}"')
    yield Bad("a role and nothing else", "form", lambda gateway: "admin")
    yield Bad("as JSON", "form|header", lambda gateway: json.dumps({"payload": gateway.sign()}))
    for name, text in {"a space": " ", "a line": "\n", "NUL": "\0", "é": "\xe9", "a dot": ".", "%": "%2E"}.items():
        yield Bad(f"{name} after it", "form", lambda gateway, text=text: gateway.sign() + text)
        yield Bad(f"{name} before it", "form", lambda gateway, text=text: text + gateway.sign())
        yield Bad(f"{name} in it", "form", lambda gateway, text=text: text.join(_halves(gateway.sign())))
    yield Bad("1 MB", "form", lambda gateway: "a" * 2**20)
    yield Bad("1 MB of dots", "form", lambda gateway: "." * 2**20)
    yield Bad("1 MB, signed well", "form", lambda gateway: gateway.sign(padding="x" * 2**20))
    yield Bad("20 kB, signed well", "form", lambda gateway: gateway.sign(padding="x" * 20000))


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _shaped() -> Iterator[Bad]:
    """Whether it is three parts that can be read."""
    yield Bad("one part", "form", _parts(lambda parts: parts[:1]))
    yield Bad("two parts", "form", _parts(lambda parts: parts[:2]))
    yield Bad("four parts", "form", _parts(lambda parts: [*parts, parts[2]]))
    yield Bad("five parts", "form", _parts(lambda parts: [*parts, "a", "b"]))
    yield Bad("no header part", "form", _parts(lambda parts: ["", *parts[1:]]))
    yield Bad("no payload", "form", _parts(lambda parts: [parts[0], "", parts[2]]))
    yield Bad("no signature", "form", _parts(lambda parts: [*parts[:2], ""]))
    yield Bad("parts in another order", "header|alg|form", _parts(lambda parts: [parts[1], parts[0], parts[2]]))
    yield Bad("an assertion in an assertion", "form", lambda gateway: gateway.raw(
        json.dumps({"alg": "ES256", "kid": gateway.kid("ES256")}).encode(), gateway.sign().encode()))
    for cut in (1, 2, 3, 10, 43, 85):
        yield Bad(f"{cut} characters short", "form|signature", lambda gateway, cut=cut: gateway.sign()[:-cut])
    yield Bad("the alphabet of plain base64", "form", _parts(lambda parts: [*parts[:2], "+/" + parts[2][2:]]))
    yield Bad("three signs of padding", "form", lambda gateway: gateway.sign() + "===")
    yield Bad("padding in the payload", "form|signature", _parts(lambda parts: [parts[0], parts[1] + "=", parts[2]]))
    for name, header in {
        "no JSON": b"x", "a list": b"[]", "a number": b"1", "null": b"null", "nested": b"[" * 5000,
        "no UTF-8": b"\xff\xfe", "nothing in it": b"{}", "a byte order mark": b'\xef\xbb\xbf{"alg":"ES256"}',
    }.items():  # fmt: skip
        yield Bad(f"header: {name}", "header|alg|form|iss", lambda gateway, header=header: gateway.raw(header, b"{}"))
    for name, payload in {
        "no JSON": b"x", "a list": b"[]", "a number": b"1", "null": b"null", "nested": b"[" * 5000,
        "no UTF-8": b'{"a": "\xff\xfe"}', "empty text": b'""', "cut": b'{"iss": "https',
    }.items():  # fmt: skip
        yield Bad(f"payload: {name}", "form", _payload(payload))
    yield Bad("payload: nothing in it", "iss|aud|exp|iat", _payload(b"{}"))


def _signed() -> Iterator[Bad]:
    """By whom and how."""
    for name in ("none", "None", "NONE", "nOnE"):
        yield Bad(f"alg {name}", "form", _unsigned(name))
        yield Bad(f"alg {name} with a signature", "alg", _unsigned(name, "AAAA"))
    for name in ("", "HS256", "HS384", "RS1", "ES256K", "PS256", "ES512", "es256", "ES256 ", "ES256\0", "../ES256"):
        yield Bad(f"alg {name!r}", "alg", _unsigned(name, "AAAA"))
    for value in (None, 1, True, [], ["ES256"], {"ES256": 1}):
        yield Bad(f"alg of another type: {value!r}", "alg", _unsigned(value, "AAAA"))
    yield Bad("alg left out", "alg|form", _header(alg=...))
    yield Bad("HS256 by the public key's PEM", "alg", _by_secret(lambda gateway: gateway.pem()))
    yield Bad("HS256 by the RSA key's PEM", "alg", _by_secret(lambda gateway: gateway.pem("RS256"), "RS256"))
    yield Bad("HS256 by the public key as published", "alg", _by_secret(
        lambda gateway: json.dumps(gateway.public("ES256")).encode()))
    yield Bad("HS256 by nothing", "alg", _by_secret(lambda gateway: b"\0" * 32))
    yield Bad("ES256 called RS256", "alg", _signed_by("ES256", "RS256"))
    yield Bad("RS256 called ES256", "alg", _signed_by("RS256", "ES256"))
    yield Bad("EdDSA called ES256", "alg", _signed_by("EdDSA", "ES256"))
    for algorithm in ("ES256", "RS256", "EdDSA"):
        yield Bad(f"a stranger's {algorithm}", "signature", lambda gateway, algorithm=algorithm: STRANGER.sign(
            algorithm, {"kid": gateway.kid(algorithm)}))
        yield Bad(f"a stranger's {algorithm} and kid", "kid", lambda gateway, algorithm=algorithm: STRANGER.sign(
            algorithm, {"kid": "stranger"}))
    yield Bad("made an admin's", "signature", _as_admin)
    yield Bad("another's signature", "signature", lambda gateway: gateway.sign().rpartition(".")[0] + "."
              + gateway.sign(sub="bob").rpartition(".")[2])
    yield Bad("a signature of zeros", "signature", _parts(lambda parts: [*parts[:2], base64url(b"\0" * 64)]))
    yield Bad("a signature of ones", "signature", _parts(lambda parts: [*parts[:2], base64url(b"\xff" * 64)]))
    yield Bad("a signature twice", "signature|form", _parts(lambda parts: [*parts[:2], parts[2] * 2]))
    yield Bad("a signature in DER", "signature", _in_der)


def _headers() -> Iterator[Bad]:
    """What the header says beside the algorithm."""
    kids: dict[str, Any] = {
        "a path": "../../../etc/passwd", "a device": "/dev/null", "a URL": "https://evil.example/keys",
        "SQL": "' UNION SELECT 'secret' --", "a command": "|/usr/bin/id", "a template": "{{7*7}}", "unknown": "other",
        "10 kB": "k" * 10240, "empty": "", "a number": 1, "a list": ["es256-1"], "an object": {"a": 1}, "true": True,
        "NUL": "es256-1\0", "a line": "es256-1\nINFO forged", "unicode": "é", "upper case": "ES256-1", "null": None,
    }  # fmt: skip
    for name, kid in kids.items():
        if kid is not None:
            yield Bad(f"kid: {name}", "kid|form|header", _header(kid=kid))
    key = STRANGER.public("ES256")
    for name, value in {
        "jku": "https://evil.example/keys.json", "x5u": "https://evil.example/cert.pem", "jwk": key, "x5c": ["AAAA"],
        "crit": ["exp"], "zip": "DEF", "cty": "JWT", "enc": "A256GCM", "b64": False,
    }.items():  # fmt: skip
        yield Bad(f"{name}, signed well", "header|form", _header(**{name: value}))
        yield Bad(f"{name}, by a stranger", "header|form", lambda gateway, name=name, value=value: STRANGER.sign(
            headers={"kid": gateway.kid("ES256"), name: value}))
    for crit in ([], ["b64"], "exp", None, ["x"] * 1000):
        yield Bad(f"crit {str(crit)[:20]}", "header|form", _header(crit=crit, x=1))
    for typ in ("at+jwt", "logout+jwt", "JWE", "", 1, None, ["JWT"]):
        yield Bad(f"typ {typ!r}", "header", _header(typ=typ))


def _told() -> Iterator[Bad]:
    """What the claims say."""
    for value in (
        "eu-2", "eu-1 ", "EU-1", "eu", "eu-11", "", [], ["eu-2"], 1, None, {"eu-1": 1}, [["eu-1"]], True, ...,
    ):  # fmt: skip
        yield Bad(f"aud {value!r}", "aud", _claims(aud=value))
    for value in (f"{ISSUER}/", "https://evil.example", ISSUER.upper(), "", None, [ISSUER], 1, {}, ...):
        yield Bad(f"iss {value!r}", "iss", _claims(iss=value))
    for claim, seconds in {"exp": -31, "nbf": 60, "iat": 60}.items():
        for factor in (1, 10, 3600):
            yield Bad(f"{claim} {seconds * factor} s from now", claim, _soon(claim, seconds * factor))
    for claim, value in {"exp": 86400 * 3650, "iat": 86400, "nbf": 86400}.items():
        yield Bad(f"{claim} {value} s from now", claim, _soon(claim, value))
    for claim in ("exp", "nbf", "iat"):
        yield Bad(f"{claim} of 401 digits", claim, _claims(**{claim: 10**400}))
    for value in (..., "1", "soon", [], {}, None, True, -1, 0, 10**30):
        yield Bad(f"exp {value!r:.20}", "exp|form", _claims(exp=value))
    for claim in ("nbf", "iat"):
        for value in ("1", "now", [1], {}, True):
            yield Bad(f"{claim} {value!r}", f"{claim}|form", _claims(**{claim: value}))
    yield Bad("exp as a text that is right", "exp", lambda gateway: gateway.sign(exp=str(int(time.time()) + 60)))
    yield Bad("iat left out", "iat", _claims(iat=...))
    for text in ("NaN", "Infinity", "-Infinity", "1e400", "1e30", "-1e400"):
        yield Bad(f"exp {text}", "exp|form", _with(f'"exp": {text}'.encode()))
        yield Bad(f"nbf {text}", "nbf|form|sub", _with(f'"exp": NOW, "nbf": {text}'.encode()))
    for value in (..., "", None, 0, 1, True, [], {}, ["ann"], {"name": "ann"}):
        yield Bad(f"sub {value!r}", "subject", _claims(sub=value))
    for name, value in {
        "251 characters": "a" * 251, "10 kB": "a" * 10240, "markup": "<script>alert(1)</script>", "a tag": "a<b",
        "a quote": 'a"b', "a line": "ann\nINFO: forged", "NUL": "ann\0", "a tab": "a\tb", "only a space": " ",
        "a space before": " ann", "a space after": "ann ", "right to left": "\u202enna", "half a character": "\ud800",
        "invisible": "an\u200bn", "a private character": "\ue000",
    }.items():  # fmt: skip
        yield Bad(f"sub: {name}", "subject|form", _claims(sub=value))
    for value in (
        ..., None, "", "Admin", "ADMIN", "aDmIn", "User", "root", "superuser", "admin ", " admin", "admin\n", "admin\0",
        "admin,user", "user admin", "*", "\u0430dmin", "ａdmin", 0, 1, True, [], ["admin"], ["user"], [["admin"]],
        ["user", "admin"], {}, {"admin": True}, {"role": "admin"}, 1.5,
    ):  # fmt: skip
        yield Bad(f"role {value!r}", "role", _claims(role=value))


CASES = [*_carried(), *_shaped(), *_signed(), *_headers(), *_told()]
assert len({case.name for case in CASES}) == len(CASES)
