"""Serve the reference gateway with gunicorn: one process, several threads."""

from __future__ import annotations

import logging
import sys
from typing import Any

from airflow_service.reference_gateway.app import make_app
from airflow_service.reference_gateway.passwords import generated, hashed
from airflow_service.reference_gateway.settings import Settings
from airflow_service.reference_gateway.store import ROLES, Store


def serve(settings: Settings) -> int:
    """Serve until a signal ends the process; makes a first administrator if there is no user."""
    from gunicorn.app.base import BaseApplication

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s gateway: %(message)s")
    introduce(settings)
    app = make_app(settings)
    options = {
        "bind": [
            f"[{settings.host}]:{settings.port}"
            if ":" in settings.host
            else f"{settings.host}:{settings.port}"
        ],
        "workers": 1,
        "worker_class": "gthread",
        "threads": 8,
        # nginx keeps its connections; it has to be the one that closes them.
        "keepalive": 75,
        "control_socket_disable": True,
        "forwarder_headers": "",
        "proc_name": "airflow-gateway",
        "loglevel": "warning",
    }

    class Server(BaseApplication):  # type: ignore[misc]  # gunicorn carries no types here
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return app

    Server().run()
    return 0


def introduce(settings: Settings) -> None:
    """Make the user `admin` if there is no user at all, and print its password, once."""
    store = Store.open(settings.state)
    if store.users():
        return
    password = generated()
    store.add_user("admin", hashed(password))
    for cluster in settings.clusters:
        store.set_role("admin", cluster.id, ROLES[-1])
    print(f"Log in at {settings.url}/ as admin with the password {password}", flush=True)
    print("It is not shown again.", flush=True)
