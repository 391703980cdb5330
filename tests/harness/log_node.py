"""A host with log files of services, and what of them is on S3, read with other eyes than the code that is tested."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_service.object_store import ObjectStore
from airflow_service.object_store.location import Location
from airflow_service.service_logs.names import Place
from airflow_service.service_logs.retention import Limits, Retention
from airflow_service.service_logs.run import Outcome, Run
from airflow_service.service_logs.sources import Source

from harness.s3 import S3Server

_SEGMENT = re.compile(r"(.+)\.parts/(\d{20})")
HOST = "node-1"


@dataclass
class Node:
    """A folder with logs. `ship()` is what cron runs each minute."""

    folder: Path
    store: ObjectStore
    sources: tuple[Source, ...] = ()
    limits: Limits = field(default_factory=lambda: Limits(1000, 0, 0))
    cluster: str = "eu-1"

    def __post_init__(self) -> None:
        self.logs.mkdir(exist_ok=True)
        self.sources = self.sources or (Source("nginx", (f"{self.logs}/*.log",)),)

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    def ship(self, **more: Any) -> Outcome:
        retention = more.pop("retention", None) or Retention(self.limits, dry_run=more.get("dry_run", False))
        settings = {"settle": 0.0, "store": self.store, "retention": retention, **more}
        return Run(self.sources, Place(self.cluster, HOST), self.state, **settings).go()

    def write(self, name: str, *lines: str) -> Path:
        path = self.logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.writelines(f"{line}\n".encode() for line in lines)
        return path


def quick_store(s3: S3Server, bucket: str, user: str = "admin") -> ObjectStore:
    """A store whose client is shared by all tests; it tries each request once."""
    return ObjectStore(Location(bucket, "logs"), lambda: s3.client(user), {"ChecksumAlgorithm": "CRC32"})


def texts(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """The texts on S3 by their names without the folder: finished ones, and what their segments say of others.

    Fails if segments leave a gap, overlap, or are cut in a line.
    """
    found = {key.removesuffix(".gz"): gzip.decompress(body) for key, body in objects.items() if key.endswith(".gz")}
    for key, body in sorted(objects.items()):
        if part := _SEGMENT.fullmatch(key):
            if part[1] + ".gz" in objects:
                continue
            text = found.setdefault(part[1], b"")
            assert int(part[2]) == len(text), f"{key}: there is a gap, or an overlap"
            found[part[1]] = text + body
        else:
            assert key.endswith(".gz"), key
    return {key.partition("/_service/")[2]: text for key, text in sorted(found.items())}
