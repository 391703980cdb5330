"""What a platform's part of the stand-in answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    content: bytes
    kind: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a platform's part sees it: who asks, and for what."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    account: str


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(value).encode(), headers=headers)


def as_text(text: str, kind: str = "text/plain", status: int = 200) -> Answer:
    return Answer(status, text.encode(), f"{kind}; charset=utf-8")
