"""The log of a supervisor that a signal or an exception ends: finished while its interpreter goes down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.s3 import S3Server

pytestmark = pytest.mark.slow
LOG = "dag/task/2020-01-01T00:00:00+00:00/1.log"
_SUPERVISOR = """
import logging, sys
from pathlib import Path
from airflow_service.task_logs.journal import Keeper
from airflow_service.task_logs.shipper import Shipper
from harness.log_store import store_on

url, bucket, folder, name, size = sys.argv[1:]
path = Path(folder, "base", name)
path.parent.mkdir(parents=True)
shipper = Shipper(Keeper(Path(folder, "base")), name, lambda: store_on(url, bucket, Path(folder)))
path.write_bytes((b"y" * 99 + b"\\n") * (int(size) // 100))

class Handler(logging.Handler):
    def close(self):
        super().close()
        print(shipper.close(), shipper.problem, flush=True)

logging.getLogger().addHandler(Handler())
raise RuntimeError("LocalTaskJob received SIGTERM signal")
"""


@pytest.mark.parametrize("size", [1000, 12_000_000])
def test_a_supervisor_that_ends_by_an_exception(s3: S3Server, tmp_path: Path, size: int) -> None:
    """Its log is one object, as after any other end."""
    root, bucket = Path(__file__).parents[2], s3.bucket()
    environment = {**os.environ, "PYTHONPATH": f"{root / 'overlay'}:{root / 'tests'}"}
    command = [sys.executable, "-c", _SUPERVISOR, s3.url, bucket, str(tmp_path), LOG, str(size)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "received SIGTERM" in ended.stderr
    assert ended.stdout.split() == ["True"]
    assert {name: len(data) for name, data in s3.objects(bucket).items()} == {f"logs/{LOG}": size}
