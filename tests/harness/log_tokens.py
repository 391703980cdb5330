"""What the webserver says to a worker's log server, put together by other code than the one that is tested."""

from __future__ import annotations

import hashlib
import hmac
import time
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import jwt


def secret_key(home: Path) -> str:
    """`[webserver] secret_key` of an AIRFLOW_HOME."""
    cfg = RawConfigParser()
    cfg.read(home / "airflow.cfg")
    return cfg["webserver"]["secret_key"]


def allowed(name: str, key: str, **claims: Any) -> dict[str, str]:
    """The header for one log file, by its name below the log folder; some claims may be others."""
    now = int(time.time())
    made = {"aud": "airflow-log-server", "file": name, "iat": now, "exp": now + 30, **claims}
    derived = hmac.new(key.encode(), b"airflow_service.log_server", hashlib.sha256).digest()
    return {"Authorization": f"Bearer {jwt.encode(made, derived, 'HS256')}"}
