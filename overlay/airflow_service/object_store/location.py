"""Where logs are: `s3://bucket/prefix`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket, and what stands before every key, without slashes at its ends."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> Location:
        """ValueError says what is wrong with the URL."""
        if not url.startswith("s3://"):
            raise ValueError("it does not begin with s3://")
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("it names no bucket, or one that is not well-formed")
        return cls(bucket, prefix.strip("/"))

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """The reverse of `key`."""
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")
