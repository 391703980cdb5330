"""The keys of `[service]` that concern the gateway, and how their texts are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePath

from airflow_service import validators
from airflow_service.declarations import Option, declare
from airflow_service.gateway.names import HEADER
from airflow_service.gateway.roles import RoleMap

KID = "<kid>"
"""In a URL of keys, the place of a key's id: one PEM file for each."""
SECRET_ALGORITHM = "HS256"
"""Signed with what it is verified with."""
ALGORITHMS = ("ES256", "RS256", "EdDSA", SECRET_ALGORITHM)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
# What gives a header another meaning on its way, or has one that the webserver relies on.
_TAKEN_HEADERS = frozenset(
    {"cookie", "host", "connection", "content-length", "content-type", "transfer-encoding", "referer", "origin"}
)


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the gateway's public keys are; at most one of the two is set."""

    path: str = ""
    url: str = ""

    @classmethod
    def parse(cls, text: str) -> KeySource:
        """ValueError for what is neither an absolute path nor a URL whose answer can be believed."""
        if "://" not in text:
            if text and not PurePath(text).is_absolute():
                raise ValueError("it is neither a URL nor an absolute path")
            return cls(path=text)
        if text.count(KID) > 1 or (KID in text and KID not in text.partition("://")[2].partition("/")[2]):
            raise ValueError(f"{KID} may stand once, and in the path")
        url = validators.web_url(text.replace(KID, "kid"))
        if url.scheme != "https" and not _is_loopback(url.hostname or ""):
            raise ValueError("it is not https: whoever is on the way could put keys of their own in")
        return cls(url=text)

    def __bool__(self) -> bool:
        return bool(self.path or self.url)

    def __str__(self) -> str:
        return self.path or self.url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def header_name(text: str) -> str:
    """The name of a header that a client's other headers cannot be taken for."""
    if not _HEADER.fullmatch(text):
        raise ValueError("it is no name of letters, digits and hyphens")
    if text.lower() in _TAKEN_HEADERS:
        raise ValueError("that header has a meaning of its own")
    return text


def algorithms(text: str) -> str:
    """Names of signature algorithms, given with commas or spaces between; returned with commas."""
    names = text.replace(",", " ").split()
    if not names:
        raise ValueError("it names none")
    for name in names:
        if name not in ALGORITHMS:
            raise ValueError(f"{name!r:.40} is none of {', '.join(ALGORITHMS)}")
    return ", ".join(names)


def claim_name(text: str) -> str:
    """The name of a claim."""
    if not text or not text.isprintable() or len(text) > 200:
        raise ValueError("it is empty, too long, or holds control characters")
    return text


def expected(text: str) -> str:
    """What a claim has to be; it is compared as it stands."""
    if not text.isprintable() or text != text.strip():
        raise ValueError("it holds control characters, or begins or ends with a space")
    return text


def max_lifetime(text: str) -> int:
    """Seconds, from a minute to 31 days."""
    if not re.fullmatch(r"[0-9]{1,7}", text) or not 60 <= int(text) <= 2678400:
        raise ValueError("it is no number, or too small or too large")
    return int(text)


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How an assertion comes, and what it has to say."""

    gateway_keys: KeySource = declare(
        Option(
            parse=KeySource.parse,
            allowed="an absolute path, an https URL (http on the loopback), or nothing",
            description="Where the gateway's public keys are: a file or a URL with a JSON Web Key Set. In a URL,\n"
            "`<kid>` in the path stands for a key's id: the answer is then that key alone, as PEM.\n"
            "Needed with `[webserver] auth_backend = airflow_service.gateway`.",
            since="1.10.15+svc.1",
        )
    )
    gateway_issuer: str = declare(
        Option(
            parse=expected,
            allowed="printable text, or nothing",
            description="What an assertion's `iss` has to be, to the letter. Needed with the gateway.",
            since="1.10.15+svc.1",
        )
    )
    gateway_audience: str = declare(
        Option(
            parse=expected,
            allowed="printable text, or nothing",
            description="What an assertion's `aud` has to be, or to hold. Without it, cluster_id.",
            since="1.10.15+svc.1",
        )
    )
    gateway_signer: str = declare(
        Option(
            parse=expected,
            allowed="printable text, or nothing",
            description="What `signer` in an assertion's header has to be: the ARN of an AWS load balancer, whose\n"
            "assertions have neither `aud` nor `iat`. Those two are then asked for only if gateway_audience is set.",
            since="1.10.15+svc.1",
        )
    )
    gateway_header: str = declare(
        Option(
            parse=header_name,
            allowed="letters, digits and hyphens",
            description="The header that carries the assertion. With `Authorization` it follows the word Bearer.",
            since="1.10.15+svc.1",
            default=HEADER,
        )
    )
    gateway_algorithms: str = declare(
        Option(
            parse=algorithms,
            allowed="some of ES256, RS256, EdDSA and HS256, separated by commas or spaces",
            description="What an assertion may be signed with. HS256 takes a secret of at least 32 bytes, which only\n"
            "a file of keys may hold: whoever can read it can sign.",
            since="1.10.15+svc.1",
            default="ES256, RS256, EdDSA",
        )
    )
    gateway_subject_claim: str = declare(
        Option(
            parse=claim_name,
            allowed="printable text",
            description="The claim that names the user, in the audit log too. It has to be one that never passes on\n"
            "to somebody else.",
            since="1.10.15+svc.1",
            default="sub",
        )
    )
    gateway_role_claim: str = declare(
        Option(
            parse=claim_name,
            allowed="printable text",
            description="The claim that names the role: `admin`, `user` or `viewer`. A dot leads into an object, if\n"
            "no claim has the name as a whole: `custom.groups`.",
            since="1.10.15+svc.1",
            default="role",
        )
    )
    gateway_role_map: RoleMap = declare(
        Option(
            parse=RoleMap.parse,
            allowed="a JSON object of texts to admin, user or viewer; or nothing",
            description="For a gateway that has other words, such as groups: which of them stands for which role. Of\n"
            "several the highest holds; `*` is whatever is not named. Without it a list is refused.",
            since="1.10.15+svc.1",
        )
    )
    gateway_max_lifetime: int = declare(
        Option(
            parse=max_lifetime,
            allowed="a number of seconds from 60 to 2678400",
            description="How far ahead an assertion's `exp` may lie. One that leaks is good until then.",
            since="1.10.15+svc.1",
            default="86400",
        )
    )
