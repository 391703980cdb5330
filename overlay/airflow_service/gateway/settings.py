"""The gateway's settings as they hold together: whether it is in use, and what it then needs."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_service.config import read_service_section, read_webserver_section
from airflow_service.errors import Fault, WrongSettings
from airflow_service.gateway.key_file import file_fault
from airflow_service.gateway.options import SECRET_ALGORITHM, KeySource
from airflow_service.gateway.roles import RoleMap
from airflow_service.options import SECTION, WEBSERVER, ServiceSettings
from airflow_service.sources import DEFAULT, Configuration

BACKEND = "airflow_service.gateway"
"""What `auth_backend` has to be for the gateway to decide who is let in."""
API = "api"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What an assertion comes in, and what it has to say."""

    header: str
    keys: KeySource
    algorithms: frozenset[str]
    issuer: str
    audience: str | None
    """None: `signer` says for whom it is, and neither `aud` nor `iat` is asked for."""
    signer: str | None
    subject_claim: str
    role_claim: str
    role_map: RoleMap
    max_lifetime: int
    """Seconds from now that `exp` may lie ahead."""

    @classmethod
    def of(cls, service: ServiceSettings) -> GatewaySettings:
        """From a section that `_missing` finds nothing missing in."""
        signer = service.gateway_signer or None
        audience = service.gateway_audience or (None if signer else service.cluster_id)
        return cls(
            header=service.gateway_header,
            keys=service.gateway_keys,
            algorithms=frozenset(service.gateway_algorithms.split(", ")),
            issuer=service.gateway_issuer,
            audience=audience,
            signer=signer,
            subject_claim=service.gateway_subject_claim,
            role_claim=service.gateway_role_claim,
            role_map=service.gateway_role_map,
            max_lifetime=service.gateway_max_lifetime,
        )


def read_gateway(configuration: Configuration | None = None) -> GatewaySettings | None:
    """The gateway of this configuration; None if it is not in use.

    Raises WrongSettings, also for a gateway that is half set up: whoever names its keys
    believes that it guards the webserver.
    """
    configuration = configuration or Configuration.read()
    service = read_service_section(configuration).settings
    webserver = read_webserver_section(configuration).settings
    api = configuration.get(API, "auth_backend")
    api_source = api.source if api is not None and api.text == BACKEND else None
    if webserver.authenticate and webserver.auth_backend == BACKEND:
        faults = _missing(service)
    else:
        faults = _half_set_up(configuration, service, webserver.auth_backend, api_source)
    if faults:
        raise WrongSettings(faults)
    if not webserver.authenticate or webserver.auth_backend != BACKEND:
        return None
    return GatewaySettings.of(service)


def check_key_file(configuration: Configuration | None = None) -> None:
    """Raise WrongSettings if others on this machine could write the gateway's keys, or read its secret."""
    settings = read_gateway(configuration)
    if settings is None or not settings.keys.path:
        return
    fault = file_fault(settings.keys.path, secret=SECRET_ALGORITHM in settings.algorithms)
    if fault is not None:
        raise WrongSettings([Fault(SECTION, "gateway_keys", settings.keys.path, fault, "its permissions")])


def _missing(service: ServiceSettings) -> list[Fault]:
    needed = f"it is needed with [webserver] auth_backend = {BACKEND}"
    faults = []
    if not service.gateway_keys:
        faults.append(Fault(SECTION, "gateway_keys", None, f"{needed}: where the gateway's keys are", DEFAULT))
    if not service.gateway_issuer:
        faults.append(Fault(SECTION, "gateway_issuer", None, f"{needed}: the assertions' iss", DEFAULT))
    if not (service.gateway_audience or service.gateway_signer or service.cluster_id):
        wrong = f"{needed}, or cluster_id in its place: the assertions' aud, without which those for any cluster do"
        faults.append(Fault(SECTION, "gateway_audience", None, wrong, DEFAULT))
    if SECRET_ALGORITHM in service.gateway_algorithms and service.gateway_keys.url:
        wrong = "HS256 needs a secret, and gateway_keys is a URL; allowed: HS256 with a file"
        faults.append(Fault(SECTION, "gateway_algorithms", None, wrong, DEFAULT))
    return faults


def _half_set_up(
    configuration: Configuration, service: ServiceSettings, backend: str, api_source: str | None
) -> list[Fault]:
    faults = []
    if backend == BACKEND:
        wrong = f"it has to be True with auth_backend = {BACKEND}: nobody is asked for an assertion without"
        faults.append(Fault(WEBSERVER, "authenticate", "False", wrong, _source(configuration, "authenticate")))
        return faults
    named = [key for key in ("gateway_keys", "gateway_issuer") if getattr(service, key)]
    if api_source is not None:
        wrong = f"the gateway guards the API with the webserver only: set [webserver] auth_backend = {BACKEND}"
        faults.append(Fault(API, "auth_backend", BACKEND, wrong, api_source))
    elif named:
        wrong = (
            f"[service] {named[0]} is set, and the gateway lets nobody in or out: "
            f"set it to {BACKEND}, and authenticate = True"
        )
        source = _source(configuration, "auth_backend")
        faults.append(Fault(WEBSERVER, "auth_backend", backend or None, wrong, source))
    return faults


def _source(configuration: Configuration, key: str) -> str:
    value = configuration.get(WEBSERVER, key)
    return DEFAULT if value is None else value.source
