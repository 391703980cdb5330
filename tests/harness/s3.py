"""A real S3 server (SeaweedFS) with data of its own, for as long as a test session."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import Session

from builder.credentials import Identity
from harness.processes import free_port, running, wait_for
from harness.servers import program

# May do all, may only read, and may write but neither list nor delete.
USERS = {
    "admin": ["Admin", "Read", "List", "Tagging", "Write"],
    "reader": ["Read", "List"],
    "writer": ["Read", "Write"],
}
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server. Everybody may read; who writes is one of USERS."""

    url: str

    def keys(self, user: str = "admin") -> dict[str, str]:
        """What an environment needs to be this user, and nobody else."""
        return {
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": f"{user}-secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def identity(self, user: str = "admin") -> Identity:
        """This user, as the builder's store takes one."""
        keys = self.keys(user)
        return Identity(
            keys["AWS_REGION"],
            lambda: {
                "access_key_id": keys["AWS_ACCESS_KEY_ID"],
                "secret_access_key": keys["AWS_SECRET_ACCESS_KEY"],
                "token": None,
                "expires_at": None,
            },
        )

    def client(self, user: str = "admin") -> Any:
        """botocore's own client, to look with other eyes than the code that is tested."""
        return _client(self.url, user)

    def bucket(self) -> str:
        """Make an empty bucket; returns its name."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Every object's bytes by key, as they are stored."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@cache
def _client(url: str, user: str) -> Any:
    """Made once: botocore reads a megabyte of descriptions for each."""
    session = Session()
    session.set_credentials(user, f"{user}-secret")
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
    return session.create_client("s3", region_name="us-east-1", endpoint_url=url, config=config)


@contextmanager
def server() -> Iterator[S3Server]:
    """A server on free ports of the loopback; a few seconds to start."""
    weed = program("weed", str(Path(sys.executable).parent))
    with tempfile.TemporaryDirectory(prefix="test-s3-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        identities: list[dict[str, Any]] = [
            {
                "name": user,
                "actions": actions,
                "credentials": [{"accessKey": user, "secretKey": f"{user}-secret"}],
            }
            for user, actions in USERS.items()
        ]
        identities.append({"name": "anonymous", "actions": ["Read"]})
        (folder / "users.json").write_text(json.dumps({"identities": identities}))
        (folder / "data").mkdir()
        ports = {option: free_port() for port in _PORTS for option in (port, f"{port}.grpc")}
        command = [
            weed, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
            f"-s3.config={folder / 'users.json'}", "-volume.max=500", "-master.volumeSizeLimitMB=64",
            # Listeners that nobody needs, on ports that a second server would have, too.
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"-{option}={port}" for option, port in ports.items()),
        ]  # fmt: skip
        # Otherwise the first bucket takes seven volumes, and the eighth bucket has none.
        environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "HOME": name}
        with running(command, folder / "log", environment, folder) as process:
            found = S3Server(f"http://127.0.0.1:{ports['s3.port']}")
            wait_for("SeaweedFS", lambda: _works(found), 60, process)
            try:
                yield found
            finally:
                # It would take its time to write down what is thrown away.
                process.process.kill()


def _works(server: S3Server) -> bool:
    """Whether an object can be stored: the listener is there long before that."""
    client = server.client()
    try:
        client.create_bucket(Bucket="is-it-up")
        client.put_object(Bucket="is-it-up", Key="a", Body=b"a")
    except Exception:
        return False
    return True
