"""A large object in parts, from bytes and from parts of objects that are already there."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from airflow_service.object_store.errors import Changed, Exists, NoObject, StoreError, field_of
from airflow_service.object_store.store import ObjectStore

LEAST_PART = 5 << 20
"""Bytes of each part but the last."""
MOST_COPIED = 5 << 30
"""Bytes that one copied part may have."""
MOST_PARTS = 10_000


class Upload:
    """A multipart upload; nothing is under the name before `complete`, and then all of it."""

    def __init__(self, store: ObjectStore, name: str, metadata: Mapping[str, str]) -> None:
        self._store = store
        self._name = name
        self._parts: dict[int, dict[str, Any]] = {}
        self._numbers = count(1)
        what = f"begin an upload of {store.url(name)}"
        with store.asking(what) as client:
            answer = client.create_multipart_upload(
                **store.parameters(name), **store.write_parameters(),
                Metadata=dict(metadata), ContentType="text/plain; charset=utf-8",
            )  # fmt: skip
        self.id: str = field_of(answer, "UploadId", what)

    @property
    def _parameters(self) -> dict[str, str]:
        return {**self._store.parameters(self._name), "UploadId": self.id}

    def next_number(self) -> int:
        """The number of the next part. Parts may be added from several threads, in any order."""
        return next(self._numbers)

    def part(self, number: int, body: Any) -> None:
        """Add bytes, or a file of them that can be sought; all parts but the last have LEAST_PART or more."""
        algorithm = self._store.write_parameters().get("ChecksumAlgorithm", "CRC32")
        what = f"store part {number} of {self._store.url(self._name)}"
        with self._store.asking(what) as client:
            answer = client.upload_part(
                **self._parameters, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm
            )
        self._add(number, answer, what)

    def copy(self, number: int, name: str, etag: str, start: int, end: int) -> None:
        """Add bytes of another object of the store; Changed if the one with this ETag has gone."""
        what = f"copy {self._store.url(name)} into {self._store.url(self._name)}"
        try:
            with self._store.asking(what) as client:
                answer = client.upload_part_copy(
                    **self._parameters, PartNumber=number, CopySource=self._store.parameters(name),
                    CopySourceRange=f"bytes={start}-{end - 1}", CopySourceIfMatch=etag,
                )  # fmt: skip
        except NoObject as error:
            raise Changed(str(error)) from error
        self._add(number, field_of(answer, "CopyPartResult", what), what)

    def _add(self, number: int, answer: Mapping[str, Any], what: str) -> None:
        part = {"PartNumber": number, "ETag": field_of(answer, "ETag", what)}
        if "ChecksumCRC32" in answer:
            part["ChecksumCRC32"] = answer["ChecksumCRC32"]
        self._parts[number] = part

    def complete(self, etag: str | None) -> None:
        """Put it under its name: in the place of the object with this ETag, or with None where none is.

        Raises Changed, or Exists.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        parts = [self._parts[number] for number in sorted(self._parts)]
        try:
            with self._store.asking(f"complete {self._store.url(self._name)}") as client:
                client.complete_multipart_upload(
                    **self._parameters, **condition, MultipartUpload={"Parts": parts}
                )
        except (Changed, NoObject) as error:
            if etag is None:
                raise Exists(str(error)) from error
            raise Changed(str(error)) from error

    def abort(self) -> None:
        """Throw the parts away; what cannot be thrown away now is left to the bucket's rule."""
        abort(self._store, self._name, self.id)


def abort(store: ObjectStore, name: str, upload_id: str) -> None:
    """Abort an upload by its id, as far as that can be done."""
    try:
        with store.asking(f"abort an upload of {store.url(name)}") as client:
            client.abort_multipart_upload(**store.parameters(name), UploadId=upload_id)
    except StoreError:
        return
