"""nginx's configuration for two clusters and a Flower behind one address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_service.nginx.render import render
from airflow_service.nginx.values import parse_values

from harness.nginx import Echo


def configure(
    folder: Path, port: int, servers: dict[str, Echo], *, second: str = "/airflow-19289", **more: Any
) -> Path:
    """Render it into `folder`: /airflow-1, with the Flower, and `second`; `more` are values beside these."""
    table = {
        "listen": [f"127.0.0.1:{port}"],
        "cluster": [
            {
                "id": "eu-1",
                "prefix": "/airflow-1",
                "webserver": [servers["one"].address],
                "flower": [servers["flower"].address],
                "keepalive_seconds": 30,
            },
            {"id": "us-1", "prefix": second, "webserver": [servers["two"].address]},
        ],
        **more,
    }
    path = folder / "airflow.conf"
    path.write_text(render(parse_values(table, "test")))
    return path
