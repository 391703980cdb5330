"""The few operations on an S3 store that publishing needs, and what can go wrong with them.

obstore does the work. Each request has a time limit and is repeated a bounded
number of times; what remains is one of the expected failures, told by what the
store answered.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from builder.credentials import Identity
from builder.errors import InvalidPlace
from builder.parallel import in_parallel

if TYPE_CHECKING:
    from obstore import Attributes

Result = TypeVar("Result")

# With a doubling pause between them: what lasts longer than some ten seconds is no hiccup.
ATTEMPTS = 5
_FIRST_PAUSE = 0.3
# Deletions in one request: S3 takes a thousand.
_BATCH = 500
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.'()*+,=@/-]*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a store everything goes: `s3://bucket/prefix`, the prefix without slashes at its ends."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `s3://bucket/prefix`. Raises InvalidPlace."""
        scheme, separator, rest = text.partition("://")
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.strip("/")
        odd = any(part in ("", ".", "..") for part in prefix.split("/")) if prefix else False
        if scheme != "s3" or not separator or not _BUCKET.fullmatch(bucket):
            raise InvalidPlace(f"{text!r} is not s3://bucket/prefix", cause="a bucket's name is lower case")
        if odd or not _PREFIX.fullmatch(prefix):
            raise InvalidPlace(
                f"{text!r}: the prefix cannot be part of a URL as it is",
                cause="a doubled slash, a dot segment, a space, or a sign that URLs quote",
            )
        return cls(bucket, prefix)

    def url(self, key: str = "") -> str:
        return "/".join(filter(None, (f"s3://{self.bucket}", self.prefix, key)))


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is in the store; its size in bytes, its time by the store's clock."""

    key: str
    size: int
    modified: datetime
    etag: str


class Store:
    """A place in an S3 store. Keys are relative to it; each method raises `store_failures`' errors."""

    def __init__(
        self,
        place: Place,
        identity: Identity,
        endpoint: str | None,
        timeout: float,
        certificates: bytes | None = None,
    ) -> None:
        self.place = place
        self.endpoint = check_endpoint(endpoint)
        self.retries = 0
        self._count = threading.Lock()
        limit = timedelta(seconds=timeout)
        self._client = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            region=identity.region,
            credential_provider=identity.provider,
            # The server holds what it received against this, and refuses what the way changed.
            checksum_algorithm="sha256",
            client_options={
                "timeout": limit, "connect_timeout": min(limit, timedelta(seconds=10)),
                "allow_http": bool(self.endpoint and self.endpoint.startswith("http:")),
                # Besides the system's.
                **({"root_certificate": certificates} if certificates else {}),
            },
            # The attempts are made here, where it is known what each of them means.
            retry_config={"max_retries": 0, "retry_timeout": limit},
            config={"endpoint": self.endpoint} if self.endpoint else {},
        )  # fmt: skip

    def get(self, key: str) -> bytes | None:
        """An object's bytes as they are stored; None if there is none."""

        def read() -> bytes | None:
            try:
                answer = obstore.get(self._client, key)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None
            content = bytes(answer.bytes())
            if len(content) != answer.meta["size"]:
                raise ConnectionError("the answer was cut off")
            return content

        return self._attempt(f"read {self.place.url(key)}", read)

    def create(self, key: str, content: bytes, attributes: Mapping[str, str]) -> bool:
        """Store an object unless there is one of this name; whether it was stored now."""

        def write() -> bool:
            try:
                obstore.put(
                    self._client, key, content,
                    attributes=cast("Attributes", dict(attributes)), mode="create", use_multipart=False,
                )  # fmt: skip
            except AlreadyExistsError as error:
                from builder.store_failures import understand

                # 412: it is there. 409: somebody stores it at this moment, and may yet fail.
                if understand(error).status == 409:
                    raise
                return False
            return True

        return self._attempt(f"write {self.place.url(key)}", write)

    def list(self, prefix: str) -> dict[str, Stored]:
        """The objects whose keys begin with `prefix`, a folder; by key."""

        def read() -> dict[str, Stored]:
            found = obstore.list(self._client, prefix.rstrip("/"), chunk_size=1000).collect()
            return {
                meta["path"]: Stored(
                    meta["path"], meta["size"], meta["last_modified"], (meta["e_tag"] or "").strip('"')
                )
                for meta in found
            }

        return self._attempt(f"list {self.place.url(prefix)}", read)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is gone already is no failure."""
        for start in range(0, len(keys), _BATCH):
            batch = list(keys[start : start + _BATCH])
            what = self.place.url(batch[0]) + (f" and {len(batch) - 1} more" if len(batch) > 1 else "")
            self._attempt(f"delete {what}", lambda batch=batch: obstore.delete(self._client, batch))  # type: ignore[misc]

    def _attempt(self, what: str, call: Callable[[], Result]) -> Result:
        pause = _FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _interruptible(call)
            except (BaseError, OSError) as error:
                import random

                from builder.store_failures import understand

                failure = understand(error)
                if attempt == ATTEMPTS or not failure.passing:
                    raise failure.error(what, self, attempt) from None
            with self._count:
                self.retries += 1
            # Spread out: those who were sent away together must not come back together.
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause *= 2
        raise AssertionError("every attempt returns or raises")


def _interruptible(call: Callable[[], Result]) -> Result:
    """Call in a thread if this is the main one, which alone hears of Ctrl-C, and not inside of obstore."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    ((_, result),) = in_parallel(lambda _: call(), [None], 1)
    return result


def check_endpoint(endpoint: str | None) -> str | None:
    """The endpoint's URL without a slash at its end. Raises InvalidPlace."""
    if endpoint is None:
        return None
    try:
        parts = urlsplit(endpoint)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or parts.username or parts.query or parts.fragment:
        raise InvalidPlace(
            f"--endpoint-url {endpoint!r} is no URL of a store: http(s)://host[:port]",
            cause="a mistyped option, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or endpoint_url of ~/.aws/config",
        )
    return endpoint.rstrip("/")
