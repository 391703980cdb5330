"""What a store tells of its objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the store tells of it: its size in bytes, its ETag, its metadata."""

    size: int
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Stored:
        """By the answer to a GET of all or a part of it."""
        total = str(answer.get("ContentRange", "")).rpartition("/")[2]
        size = int(total) if total.isdigit() else int(answer["ContentLength"])
        return cls(size, answer["ETag"], dict(answer.get("Metadata", {})))


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; the name is relative to the store's folder."""

    name: str
    size: int
    etag: str
