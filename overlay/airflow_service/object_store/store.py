"""One folder of a bucket: read by ranges, written conditionally, with errors that say what they are.

Every write is conditional, so that one that is repeated, by botocore or by us, changes
nothing twice; metadata tells whose it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_service.object_store.bodies import Nothing, Watched
from airflow_service.object_store.errors import (
    Changed,
    Exists,
    Expired,
    NoObject,
    NoRight,
    StoreError,
    field_of,
    told,
)
from airflow_service.object_store.location import Location
from airflow_service.object_store.objects import Listed, Stored

BLOCK = 1 << 20
"""Bytes that a stream gives at a time."""
_MOST_DELETED = 1000


class ObjectStore:
    """A bucket and a prefix. Names are relative to the prefix; all methods raise StoreError.

    Safe to use from several threads. It must not be carried over a fork: make a new one.
    """

    def __init__(
        self, location: Location, connect: Callable[[], Any], written_with: Mapping[str, str] | None = None
    ) -> None:
        self.location = location
        self._connect = connect
        self._written_with = dict(written_with or {})
        self._client: Any = None
        self._lock = threading.Lock()
        self.alive = 0.0
        """When by time.monotonic() a request was last answered, or bytes of one were last sent."""

    def is_alive(self) -> None:
        """Note that it gets on."""
        self.alive = time.monotonic()

    def url(self, name: str) -> str:
        return f"s3://{self.location.bucket}/{self.location.key(name)}"

    def connect(self) -> None:
        """Load the client and the credentials now; otherwise the first request does."""
        with self._asking("credentials"):
            pass

    def head(self, name: str) -> Stored | None:
        """The object, or None if it is certain that there is none.

        It is asked for by a GET of one byte: an answer to HEAD has no body, and so cannot tell
        a missing object from a missing bucket, nor a missing right from an expired token.
        """
        with self._asking(f"look at {self.url(name)}") as client:
            answer = self._get(client, name, "bytes=0-0")
        if answer is None:
            return None
        answer["Body"].close()
        return Stored.of(answer)

    def read(
        self, name: str, start: int = 0, end: int | None = None, *, last: int | None = None
    ) -> bytes | None:
        """The bytes from `start` up to `end`, or the `last` ones; None if there is no such object.

        Less is given where the object ends before.
        """
        if last == 0 or (end is not None and end <= start):
            return b"" if self.head(name) is not None else None
        which = f"bytes=-{last}" if last else f"bytes={start}-{'' if end is None else end - 1}"
        with self._asking(f"read {self.url(name)} ({which})") as client:
            answer = self._get(client, name, which)
            if answer is None:
                return None
            body: bytes = answer["Body"].read()
        return body

    def end(self, name: str, last: int) -> tuple[Stored, bytes] | None:
        """The object and its `last` bytes, in one request; None if it is certain that there is none.

        Less is given where the object is shorter.
        """
        which = f"bytes=-{last}"
        with self._asking(f"look at the end of {self.url(name)} ({which})") as client:
            answer = self._get(client, name, which)
            if answer is None:
                return None
            body: bytes = answer["Body"].read()
        return Stored.of(answer), body

    def stream(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` on, in blocks; Changed if the object has gone or goes meanwhile."""
        which = f"bytes={start}-{'' if end is None else end - 1}"
        what = f"read {self.url(name)} ({which})"
        with self._asking(what) as client:
            answer = self._get(client, name, which)
        if answer is None:
            raise Changed(f"{what}: it is not there")
        with told(what):
            yield from answer["Body"].iter_chunks(BLOCK)

    def create(
        self, name: str, body: bytes, metadata: Mapping[str, str] | None = None, *, passing: bool = False
    ) -> Stored:
        """Store an object under a name that is free. Raises Exists if it is not.

        Exists may also mean that our own earlier try had come through: its metadata tells.
        What is `passing` is deleted soon, and so is in the standard class: others are paid for by the month.
        """
        written_with = dict(self._written_with)
        if passing:
            written_with.pop("StorageClass", None)
        try:
            return self._put(name, body, metadata, {"IfNoneMatch": "*", **written_with})
        except Changed as error:
            raise Exists(str(error)) from error

    def replace(self, name: str, etag: str, body: bytes, metadata: Mapping[str, str] | None = None) -> Stored:
        """Store another object in the place of the one with this ETag. Raises Changed if it is not there."""
        try:
            return self._put(name, body, metadata, {"IfMatch": etag, **self._written_with})
        except NoObject as error:
            raise Changed(str(error)) from error

    def list(self, prefix: str, after: str | None = None, limit: int | None = None) -> Iterator[Listed]:
        """The objects whose names begin so, sorted, after a name; at most `limit`. Raises Denied."""
        parameters: dict[str, Any] = {"Bucket": self.location.bucket, "Prefix": self.location.key(prefix)}
        if after is not None:
            parameters["StartAfter"] = self.location.key(after)
        given = 0
        while limit is None or given < limit:
            parameters["MaxKeys"] = 1000 if limit is None else min(1000, limit - given)
            with self._asking(f"list {self.url(prefix)}") as client:
                page = client.list_objects_v2(**parameters)
            for one in page.get("Contents", []):
                given += 1
                yield Listed(self.location.name(one["Key"]), one["Size"], one["ETag"])
            if not page.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = page["NextContinuationToken"]

    def folders(self, prefix: str) -> Iterator[str]:
        """The names directly below `prefix`, which ends in a slash or is empty, that have more below."""
        parameters = {"Bucket": self.location.bucket, "Prefix": self.location.key(prefix), "Delimiter": "/"}
        while True:
            with self._asking(f"list {self.url(prefix)}") as client:
                page = client.list_objects_v2(**parameters)
            for one in page.get("CommonPrefixes", []):
                yield self.location.name(one["Prefix"]).removesuffix("/")
            if not page.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        waiting = list(names)
        while waiting:
            now, waiting = waiting[:_MOST_DELETED], waiting[_MOST_DELETED:]
            what = f"delete {self.url(now[0])}" + (f" and {len(now) - 1} more" if now[1:] else "")
            with self._asking(what) as client:
                if len(now) == 1:
                    client.delete_object(Bucket=self.location.bucket, Key=self.location.key(now[0]))
                    continue
                keys = [{"Key": self.location.key(name)} for name in now]
                answer = client.delete_objects(
                    Bucket=self.location.bucket, Delete={"Objects": keys, "Quiet": True}
                )
            for error in answer.get("Errors", []):
                kind = NoRight if error.get("Code") == "AccessDenied" else StoreError
                raise kind(f"{what}: {error.get('Key')}: {error.get('Code')} ({error.get('Message')})")

    def parameters(self, name: str) -> dict[str, str]:
        """Bucket and key, as each request names them."""
        return {"Bucket": self.location.bucket, "Key": self.location.key(name)}

    def write_parameters(self) -> dict[str, str]:
        """Encryption, storage class and checksum of each write."""
        return dict(self._written_with)

    @contextmanager
    def asking(self, what: str) -> Iterator[Any]:
        """The client, for a request of another module; its exceptions become ours."""
        with self._asking(what) as client:
            yield client

    @contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        try:
            with told(what):
                with self._lock:
                    if self._client is None:
                        self._client = self._connect()
                    client = self._client
                yield client
            self.is_alive()
        except Expired:
            # Whatever was read when the client was made may be read anew by the next request.
            with self._lock:
                self._client = None
            raise

    def _get(self, client: Any, name: str, which: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        parameters = self.parameters(name)
        if which == "bytes=0-":
            return self._present(name, lambda: client.get_object(**parameters))
        try:
            return self._present(name, lambda: client.get_object(**parameters, Range=which))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 416:
                raise
        # No byte is in that range; the object is there, perhaps empty.
        answer = self._present(name, lambda: client.get_object(**parameters))
        if answer is not None:
            answer["Body"].close()
            answer["Body"] = Nothing()
        return answer

    def _present(self, name: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            answer = ask()
        except ClientError as error:
            if error.response["Error"].get("Code") == "NoSuchKey":
                return None
            raise
        if "ETag" not in answer:
            answer["Body"].close()
        field_of(answer, "ETag", f"read {self.url(name)}")
        return answer

    def _put(
        self, name: str, body: bytes, metadata: Mapping[str, str] | None, how: Mapping[str, str]
    ) -> Stored:
        what = f"store {self.url(name)}"
        sent = Watched(body, self.is_alive) if len(body) > BLOCK else body
        with self._asking(what) as client:
            answer = client.put_object(
                **self.parameters(name), **how,
                Body=sent, Metadata=dict(metadata or {}), ContentType="text/plain; charset=utf-8",
            )  # fmt: skip
        return Stored(len(body), field_of(answer, "ETag", what), dict(metadata or {}))
