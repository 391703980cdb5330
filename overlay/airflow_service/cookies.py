"""The session's cookies, of one cluster only; `airflow/www/app.py` calls it."""

from __future__ import annotations

import hashlib
from typing import Any

from airflow_service.config import read_service_section, read_webserver_section
from airflow_service.options import ServiceSettings, WebserverSettings


def cookie_settings() -> dict[str, Any]:
    """Flask's and Flask-Login's settings for this configuration; raises WrongSettings."""
    return settings_for(read_webserver_section().settings, read_service_section().settings)


def settings_for(webserver: WebserverSettings, service: ServiceSettings) -> dict[str, Any]:
    """Name, path and attributes of the session's cookie, and of the one that remembers a login.

    Browsers send a host's cookies to all of its ports and to all paths below the
    cookie's: the name keeps clusters apart whose prefixes lie in one another.
    """
    base_url = webserver.base_url
    # Not a secret, and not to be guarded: only to be different.
    cluster = service.cluster_id or hashlib.sha256(str(base_url).encode()).hexdigest()[:8]
    attributes: dict[str, Any] = {
        "PATH": base_url.prefix or "/",
        "HTTPONLY": True,
        "SECURE": webserver.cookie_secure or base_url.scheme == "https",
        "SAMESITE": webserver.cookie_samesite,
    }
    settings: dict[str, Any] = {}
    for kind in ("session", "remember"):
        settings[f"{kind.upper()}_COOKIE_NAME"] = f"airflow_{kind}_{cluster}"
        settings |= {f"{kind.upper()}_COOKIE_{key}": value for key, value in attributes.items()}
    return settings
