"""Fetch the gateway's keys: from a file, a URL, or a URL for each key."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from airflow_service.gateway.key_file import file_fault
from airflow_service.gateway.key_set import KeySet, NoKeys, read_key_set, read_pem
from airflow_service.gateway.options import KID, SECRET_ALGORITHM, KeySource

MAX_BYTES = 256 * 1024
TIMEOUT = 5.0
"""Seconds for a whole answer; half of it for each step of the way."""
_BLOCK = 16384
_JSON = frozenset({"application/json", "application/jwk-set+json"})
# Of the ids that may stand in a URL: no separator, no dot-only step, nothing to be escaped.
_KID_IN_URL = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_GONE = frozenset({403, 404, 410})


class Gone(NoKeys):
    """The key of an id is not there any more, and so is not to be used."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Reads keys anew each time it is called. Every method raises NoKeys with a reason."""

    source: KeySource

    @property
    def by_id(self) -> bool:
        """Whether each key has a URL of its own, so that they cannot be listed."""
        return KID in self.source.url

    def stamp(self) -> object:
        """What changes with a file of keys; None for a URL, which has to be asked."""
        if not self.source.path:
            return None
        try:
            found = Path(self.source.path).stat()
        except OSError as error:
            raise NoKeys(f"it cannot be read ({type(error).__name__})") from None
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def all(self) -> KeySet:
        """The whole set, of a file or of a URL that lists them."""
        if self.source.path:
            return _read_own(self.source.path)
        return read_key_set(_ask(self.source.url, json_only=True), secrets_allowed=False)

    def one(self, kid: str) -> KeySet:
        """The key of an id, where each has a URL; raises Gone if there is none."""
        if not self.may_ask_for(kid):
            raise Gone("its id cannot stand in a URL")
        return read_pem(_ask(self.source.url.replace(KID, kid), json_only=False), kid)

    def may_ask_for(self, kid: str) -> bool:
        """Whether an id can stand in a URL and lead nowhere else."""
        return _KID_IN_URL.fullmatch(kid) is not None


def _read_own(path: str) -> KeySet:
    found = read_key_set(_read_file(path), secrets_allowed=True)
    fault = file_fault(path, secret=any(key.algorithm == SECRET_ALGORITHM for key in found.keys))
    if fault is not None:
        raise NoKeys(fault)
    return found


def _read_file(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NoKeys(f"it cannot be read ({type(error).__name__})") from None
    if len(raw) > MAX_BYTES:
        raise NoKeys(f"it is larger than {MAX_BYTES} bytes")
    return raw


def _ask(url: str, *, json_only: bool) -> bytes:
    headers = {"User-Agent": "airflow-service", "Accept": ", ".join(sorted(_JSON)) if json_only else "*/*"}
    deadline = time.monotonic() + TIMEOUT
    try:
        # No redirect: it is the configured server that is believed, and no other one.
        with requests.get(
            url, headers=headers, timeout=TIMEOUT / 2, stream=True, allow_redirects=False
        ) as answer:
            if answer.status_code != 200:
                kind = Gone if answer.status_code in _GONE else NoKeys
                raise kind(f"it answers {answer.status_code}")
            given = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if json_only and given not in _JSON:
                raise NoKeys("its Content-Type is neither application/json nor application/jwk-set+json")
            return _body(answer, deadline)
    except (requests.RequestException, HTTPError, TimeoutError, ValueError) as error:
        raise NoKeys(f"no answer ({type(error).__name__})") from None


def _body(answer: requests.Response, deadline: float) -> bytes:
    received = b""
    # read1 gives what is there: a server that drips is noticed between two drops.
    while block := answer.raw.read1(_BLOCK, decode_content=True):
        received += block
        if len(received) > MAX_BYTES:
            raise NoKeys(f"it is larger than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise NoKeys(f"no whole answer within {TIMEOUT:g} seconds")
    return received
