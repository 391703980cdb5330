"""Where a piece of a log is on S3."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from airflow_service.service_logs.files import digest
from airflow_service.service_logs.records import Piece, Record

FOLDER = "_service"
UNNAMED = "unnamed"
"""Stands for a cluster without `[service] cluster_id`."""
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")
# Names of DAG files may hold anything; these are what browsers, shells and consoles show as they are.
_NOT_IN_KEYS = re.compile(r"[\x00-\x1f\x7f\\?#%*\"<>|{}^`~\[\]]|[^\x00-\x7f]")
_HASH_LENGTH = 8
# A key has 1024 bytes at most; folder, host, service, day, begin and offset take 400 of them if they are long.
_LONGEST = 500
_LONG_HASH = 16


def host_name() -> str:
    """This host's name, as it can stand in a key."""
    return _NOT_PLAIN.sub("_", socket.gethostname()) or "localhost"


@dataclass(frozen=True, slots=True)
class Place:
    """The logs of a host of a cluster."""

    cluster: str
    host: str

    def base(self, record: Record, day: str, number: int) -> str:
        """The name of a piece, without what says how it is stored.

        It follows from the file alone, so that it is found again when the state is lost; and it sorts by time.
        """
        name = _NOT_IN_KEYS.sub(
            lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape")),
            record.name,
        )
        if len(name) > _LONGEST:
            # Its end is the file's own name. Nothing else has a "~".
            name = f"{digest(name.encode())[:_LONG_HASH]}~{name[-_LONGEST:]}"
        stamp = f"{record.stamp}-" if record.stamp else ""
        more = f".{number}" if number > 1 else ""
        cluster = self.cluster or UNNAMED
        return f"{FOLDER}/{cluster}/{self.host}/{record.service}/{day}/{name}.{stamp}{record.head[:_HASH_LENGTH]}{more}"

    def of(self, record: Record, piece: Piece) -> str:
        return self.base(record, piece.day, piece.number)


def packed(base: str) -> str:
    """The compressed object of a finished piece."""
    return f"{base}.gz"
