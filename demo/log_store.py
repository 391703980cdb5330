"""An S3 server for the demo's logs: SeaweedFS, which keeps what it is given in the demo's home."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from builder.bootstrap import ensure_environment
from builder.errors import BuildError
from demo.processes import free_port, stop

BUCKET, PREFIX, USER, REGION = "demo-logs", "airflow", "demo", "us-east-1"
# Each of these ports has a second one, for the server's parts among themselves.
_PARTS = ("master", "volume", "filer", "s3")
# Seconds to wait for the server, and for a log.
_START, _LOG = 60, 90


class LogStoreFailed(BuildError):
    """The demo's S3 server did not start, or got no log."""

    exit_code = 43


@dataclass(frozen=True, slots=True)
class LogStore:
    """The server's program, its folder, its port, and the secret of its one user."""

    program: Path
    folder: Path
    port: int
    secret: str

    @classmethod
    def below(cls, home: Path, program: Path) -> LogStore:
        """A server for a demo, with the user's key in a file as the AWS tools read it."""
        folder = home / "s3"
        folder.mkdir(mode=0o700)
        (folder / "data").mkdir()
        store = cls(program, folder, free_port(0), secrets.token_urlsafe(24))
        keys = {"accessKey": USER, "secretKey": store.secret}
        users = {"identities": [{"name": USER, "actions": ["Admin"], "credentials": [keys]}]}
        (folder / "users.json").write_text(json.dumps(users))
        store._credentials.write_text(
            f"[default]\naws_access_key_id = {USER}\naws_secret_access_key = {store.secret}\n"
        )
        store._config.write_text(f"[default]\nregion = {REGION}\n")
        return store

    @property
    def url(self) -> str:
        """Where it speaks the S3 protocol."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def place(self) -> str:
        """Where the logs are."""
        return f"s3://{BUCKET}/{PREFIX}"

    @property
    def settings(self) -> dict[str, str]:
        """What Airflow has to know of it: no credentials, which are found as the AWS tools do."""
        return {
            "AIRFLOW__CORE__REMOTE_LOGGING": "True",
            "AIRFLOW__CORE__REMOTE_BASE_LOG_FOLDER": self.place,
            "AIRFLOW__SERVICE__LOGS_ENDPOINT_URL": self.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(self._credentials),
            "AWS_CONFIG_FILE": str(self._config),
        }

    @property
    def _credentials(self) -> Path:
        return self.folder / "credentials"

    @property
    def _config(self) -> Path:
        return self.folder / "config"

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Run it, with an empty bucket; its output goes to a file in its folder."""
        ports = {f"{part}.port": free_port(0) for part in _PARTS} | {"s3.port": self.port}
        ports |= {f"{option}.grpc": free_port(0) for option in ports}
        command = [
            self.program, "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-filer", "-s3", f"-s3.config={self.folder / 'users.json'}", "-master.volumeSizeLimitMB=64",
            # Listeners that nobody needs, on ports that another server would have, too.
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"-{option}={port}" for option, port in ports.items()),
        ]  # fmt: skip
        # It reads settings from its home; and a bucket would take seven volumes, of eight that there are.
        environment = {**os.environ, "HOME": str(self.folder), "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        with (self.folder / "s3.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=self.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                self._wait(process)
                yield
            finally:
                # It waits for clients, of which there are none any more.
                stop(process, 2)

    def wait_for_log(self, dag: str) -> None:
        """Until something of a log of this DAG is there. Raises LogStoreFailed."""
        deadline = time.monotonic() + _LOG
        while not self._has(f"{PREFIX}/{dag}/"):
            if time.monotonic() > deadline:
                raise LogStoreFailed(
                    f"no log of {dag} comes to {self.place}",
                    next_step=f"read the logs in {self.folder.parent}",
                )
            time.sleep(0.5)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START
        while not self._takes_objects():
            if process.poll() is not None or time.monotonic() > deadline:
                detail = (self.folder / "s3.log").read_text("utf-8", "replace")
                raise LogStoreFailed(
                    "the S3 server does not answer", detail="\n".join(detail.splitlines()[-15:])
                )
            time.sleep(0.25)

    def _has(self, prefix: str) -> bool:
        try:
            return bool(self._client.list_objects_v2(Bucket=BUCKET, Prefix=prefix, MaxKeys=1).get("Contents"))
        except (BotoCoreError, ClientError):
            return False

    def _takes_objects(self) -> bool:
        """Whether an object can be stored: the listener is there some seconds before that."""
        try:
            with contextlib.suppress(ClientError):
                # An earlier request may have made it.
                self._client.create_bucket(Bucket=BUCKET)
            self._client.put_object(Bucket=BUCKET, Key="is-it-up", Body=b"")
            self._client.delete_object(Bucket=BUCKET, Key="is-it-up")
        except (BotoCoreError, ClientError):
            return False
        return True

    @property
    def _client(self) -> Any:
        return _client(self.url, self.secret)


@cache
def _client(url: str, secret: str) -> Any:
    """Made once: botocore reads a megabyte of descriptions for each."""
    session = Session()
    session.set_credentials(USER, secret)
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=5)
    return session.create_client("s3", region_name=REGION, endpoint_url=url, config=config)


def log_store(home: Path) -> LogStore | None:
    """A server for the logs; None, with a word on it, where its program cannot be had."""
    try:
        python = ensure_environment("demo")
    except SystemExit as ended:
        # Without a code, somebody asked the demo to end. Otherwise it was said why.
        if not ended.code:
            raise
        print("without an S3 server, this demo's logs stay on this machine")
        return None
    return LogStore.below(home, python.parent / "weed")
