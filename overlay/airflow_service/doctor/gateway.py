"""Who is let in: the gateway, and what stands open without one."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_service import validators
from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.errors import WrongSettings
from airflow_service.gateway.listening import check_listening
from airflow_service.gateway.settings import BACKEND, GatewaySettings, read_gateway
from airflow_service.options import SECTION, WEBSERVER
from airflow_service.sources import Configuration


def gateway(configuration: Configuration) -> Iterator[Fact | Finding]:
    """Whether a gateway decides who is let in, and whether its keys are there."""
    try:
        settings = read_gateway(configuration)
    except WrongSettings as error:
        yield from _faults(error)
        return
    yield Fact("gateway", "decides who is let in", "yes" if settings else "no")
    if settings is None:
        yield from _without(configuration)
        return
    yield Fact("gateway", "header", settings.header)
    yield from _listening(configuration)
    yield from _examples(configuration)
    yield from _keys(settings)


def _faults(error: WrongSettings) -> Iterator[Finding]:
    for fault in error.faults:
        # Each value by itself is looked at by the checks of the sections.
        if fault.given is None or fault.section not in (SECTION, WEBSERVER):
            yield Finding(
                "gateway",
                Severity.ERROR,
                f"[{fault.section}] {fault.key}: {fault.wrong}.",
                "The gateway is set up by half. No command of airflow starts with it.",
                "Complete it, or take it out as a whole: docs/gateway.md has both.",
            )


def _without(configuration: Configuration) -> Iterator[Finding]:
    authenticate = configuration.get(WEBSERVER, "authenticate")
    backend = configuration.get(WEBSERVER, "auth_backend")
    if authenticate is None or not validators.boolean(authenticate.text):
        yield Finding(
            "gateway",
            Severity.ERROR,
            "Everybody who reaches the webserver may do everything: no gateway decides who is let in.",
            "[webserver] authenticate is not True, which is the default of the release.",
            f"Set [webserver] authenticate = True, auth_backend = {BACKEND}, and gateway_keys and gateway_issuer in "
            "[service]; until then, let nobody reach the webserver.",
        )
    else:
        yield Finding(
            "gateway",
            Severity.WARNING,
            f"[webserver] auth_backend = {backend.text if backend else ''!r} lets people in, and no gateway does.",
            "A backend of the release: its users are its own, and it enforces no roles beside two views' own checks.",
            f"Set [webserver] auth_backend = {BACKEND}",
        )


def _listening(configuration: Configuration) -> Iterator[Finding]:
    try:
        check_listening(configuration)
    except WrongSettings as error:
        (fault,) = error.faults
        yield Finding(
            "gateway",
            Severity.ERROR,
            f"[webserver] web_server_host = {fault.given!r}: the webserver listens on addresses open to others.",
            "Assertions that leaked can be shown to it from anywhere, past the gateway; it does not start so.",
            "Set it to 127.0.0.1, or to a private address that only the gateway's proxy reaches.",
        )


def _examples(configuration: Configuration) -> Iterator[Finding]:
    load = configuration.get("core", "load_examples")
    if load is None or validators.boolean(load.text):
        yield Finding(
            "gateway",
            Severity.ERROR,
            "The example DAGs are loaded: whoever may trigger a DAG can run commands by them, whatever the role.",
            "[core] load_examples is True, which is the default of the release. Some examples give what a run's "
            "conf holds to a shell, and a shell of a task reads all secrets of the cluster.",
            "Set [core] load_examples = False",
        )


def _keys(settings: GatewaySettings) -> Iterator[Fact | Finding]:
    # Not above: cryptography takes a while to load, and most checks do without.
    from airflow_service.gateway.key_set import NoKeys
    from airflow_service.gateway.key_source import Fetcher

    fetcher = Fetcher(settings.keys)
    if fetcher.by_id:
        yield Fact("gateway", "keys", f"{settings.keys} (not tried: each has a URL of its own)")
        return
    try:
        found = fetcher.all().keys
    except NoKeys as error:
        yield Fact("gateway", "keys", str(settings.keys))
        yield Finding(
            "gateway",
            Severity.ERROR,
            f"The gateway's keys are not there: {settings.keys}: {error}.",
            "The address is another one, or the gateway is down. A webserver that starts now lets nobody in.",
            f"curl --fail {settings.keys}" if settings.keys.url else f"ls -l {settings.keys}",
        )
        return
    yield Fact("gateway", "keys", f"{settings.keys} ({len(found)})")
    if not any(key.algorithm in settings.algorithms for key in found):
        yield Finding(
            "gateway",
            Severity.ERROR,
            f"None of the gateway's keys is for {', '.join(sorted(settings.algorithms))}.",
            f"They are for {', '.join(sorted({key.algorithm for key in found}))}.",
            "Set [service] gateway_algorithms to what the gateway signs with.",
        )
