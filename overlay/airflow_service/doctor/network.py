"""What is asked over the network: Celery's broker."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.masking import credentials_hold, mask_url, scrub
from airflow_service.sources import DEFAULT, Configuration, Value
from airflow_service.validators import boolean

TIMEOUT = 5
_TRIED_TRANSPORTS = ("amqp", "pyamqp", "amqps", "redis", "rediss")


def broker(configuration: Configuration) -> Iterator[Fact | Finding]:
    """Celery's broker, if Celery is the executor."""
    executor = configuration.get("core", "executor")
    if executor is None or executor.text != "CeleryExecutor":
        return
    for key in ("broker_url", "result_backend"):
        value = configuration.get("celery", key)
        if value is None:
            continue
        yield Fact("celery", key, f"{mask_url(value.text)} ({value.source})")
        if value.source == DEFAULT:
            yield Finding(
                "broker",
                Severity.ERROR,
                f"[celery] {key} is not set, and the default names a database that nobody has.",
                "CeleryExecutor was chosen and the rest of its settings forgotten.",
                f"Set [celery] {key}, for example in the environment: AIRFLOW__CELERY__{key.upper()}",
            )
        elif key == "broker_url":
            yield from _try_broker(configuration, value)


def _try_broker(configuration: Configuration, value: Value) -> Iterator[Fact | Finding]:
    transport = value.text.partition("://")[0]
    if transport not in _TRIED_TRANSPORTS:
        yield Fact("celery", "broker reachable", f"not tried: only {', '.join(_TRIED_TRANSPORTS)} are")
        return
    if credentials_hold(value.text, "@/?#[]"):
        yield Finding(
            "broker",
            Severity.ERROR,
            "[celery] broker_url: its user name or password holds one of @ / ? # [ ] as it is.",
            f"{value.origin} A password was written as it is. The broker was not tried.",
            "Percent-encode it: @ is %40, / is %2F, ? is %3F, # is %23; in airflow.cfg each % is written %%.",
        )
        return
    try:
        _connect(value.text, _tls(configuration, transport))
    except Exception as error:  # each transport has its own errors, and kombu wraps some of them
        yield Fact("celery", "broker reachable", "no")
        reason = scrub(f"{type(error).__name__}: {error}".strip(), value.text)
        cause = f"It is down, or refuses this user. {value.origin}"
        next_step = "On the broker's machine: rabbitmqctl status, or redis-cli ping"
        if isinstance(error, ImportError):
            cause, next_step = "The client library is missing.", "pip install redis"
        yield Finding("broker", Severity.ERROR, f"The broker cannot be reached: {reason}", cause, next_step)
    else:
        yield Fact("celery", "broker reachable", "yes")


def _connect(url: str, tls: dict[str, Any] | bool) -> None:
    from kombu import Connection

    options = {}
    if url.startswith("redis"):  # its client does not look at connect_timeout
        options = {"socket_connect_timeout": TIMEOUT, "socket_timeout": TIMEOUT}
    with Connection(url, connect_timeout=TIMEOUT, ssl=tls, transport_options=options) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT)


def _tls(configuration: Configuration, transport: str) -> dict[str, Any] | bool:
    """The TLS settings, under the names that upstream gives them for a transport."""
    active = configuration.get("celery", "ssl_active")
    if active is None or not boolean(active.text):
        return False
    names = {"ssl_key": "keyfile", "ssl_cert": "certfile", "ssl_cacert": "ca_certs"}
    prefix = "ssl_" if transport.startswith("redis") else ""
    tls: dict[str, Any] = {f"{prefix}cert_reqs": ssl.CERT_REQUIRED}
    for key, name in names.items():
        value = configuration.get("celery", key)
        tls[prefix + name] = value.text if value is not None else ""
    return tls
