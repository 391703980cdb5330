"""The overlay's store of logs, on a test's S3 server."""

from __future__ import annotations

from pathlib import Path

from airflow_service.object_store import ObjectStore, open_store
from airflow_service.options import ServiceSettings


def store_on(url: str, bucket: str, folder: Path, user: str = "admin", prefix: str = "logs") -> ObjectStore:
    """A store as the service opens it, with a file of credentials."""
    return open_store(f"s3://{bucket}/{prefix}", settings_for(url, folder, user))


def settings_for(url: str, folder: Path, user: str = "admin") -> ServiceSettings:
    """The settings for a user of a server, whose credentials are put into a file."""
    file = folder / f"credentials-{user}"
    file.write_text(f"[default]\naws_access_key_id = {user}\naws_secret_access_key = {user}-secret\n")
    return ServiceSettings(logs_endpoint_url=url, logs_region="us-east-1", logs_credentials_file=str(file))
