"""S3 and what speaks its protocol, behind a small door: conditional writes, ranges, clear errors.

`open_store` makes an ObjectStore from a folder's URL and the `[service]` settings.
"""

from __future__ import annotations

from airflow_service.object_store.errors import (
    Changed,
    Denied,
    Exists,
    Expired,
    NoBucket,
    NoRight,
    StoreError,
    Unreachable,
)
from airflow_service.object_store.objects import Listed, Stored
from airflow_service.object_store.opening import log_store, open_store
from airflow_service.object_store.store import ObjectStore

__all__ = [
    "Changed",
    "Denied",
    "Exists",
    "Expired",
    "Listed",
    "NoBucket",
    "NoRight",
    "ObjectStore",
    "StoreError",
    "Stored",
    "Unreachable",
    "log_store",
    "open_store",
]
