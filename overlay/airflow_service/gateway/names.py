"""Names that the webserver, nginx's configuration and the reference gateway have to agree on."""

from __future__ import annotations

HEADER = "X-Airflow-Assertion"
"""The header that carries the assertion, if nothing else is said."""
COOKIE = "airflow_gateway"
"""The reference gateway's cookie."""
SECURE_COOKIE = f"__Host-{COOKIE}"
"""The same over TLS, where browsers take a cookie of such a name from this host alone."""
