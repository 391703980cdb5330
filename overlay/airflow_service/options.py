"""The keys of the `[service]` section: declared here once, read as attributes.

To add a key, add a field. Tests then say what has to be put into
`default_airflow.cfg`, `config.yml` and `docs/configuration.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_service import validators
from airflow_service.base_url import BaseUrl
from airflow_service.declarations import Option, declare, declared
from airflow_service.external_commands.options import ExternalCommandOptions
from airflow_service.gateway.options import GatewayOptions
from airflow_service.networks import Networks
from airflow_service.object_store.options import StoreOptions
from airflow_service.service_logs.options import ServiceLogOptions
from airflow_service.task_logs.options import TaskLogOptions

__all__ = ["SECTION", "WEBSERVER", "Option", "ServiceSettings", "WebserverSettings", "declare", "declared"]

SECTION = "service"
WEBSERVER = "webserver"


@dataclass(frozen=True, slots=True)
class ServiceSettings(ExternalCommandOptions, ServiceLogOptions, TaskLogOptions, StoreOptions, GatewayOptions):
    """The `[service]` section, checked; what concerns a topic of its own is inherited."""

    cluster_id: str = declare(
        Option(
            parse=validators.cluster_id,
            allowed="1 to 64 of the characters A-Z a-z 0-9 _ and -, or nothing",
            description="The name of this cluster. `airflow-service doctor` puts it at the head of its\n"
            "output, so that the output of several clusters can be told apart. It is also part of the\n"
            "cookies' names; without it, a hash of `[webserver] base_url` is.",
            since="1.10.15+svc.1",
        )
    )
    cdn_url: str = declare(
        Option(
            parse=validators.cdn_url,
            allowed="an absolute http or https URL without user name, password, query, fragment; or nothing",
            description="Where the asset bundle of this distribution is published: the URL below which `a/`\n"
            "and `manifests/` are. Pages then load scripts, styles, fonts and pictures from there.\n"
            "While it does not answer, and if it is empty, the webserver serves them itself.",
            since="1.10.15+svc.1",
        )
    )
    cdn_check_interval: float = declare(
        Option(
            parse=validators.cdn_check_interval,
            allowed="a number of seconds from 1 to 15",
            description="Seconds between two checks of the CDN by each webserver process. A check may take a\n"
            "fifth of it, and after a failure the next comes in a third. It is there for tests.",
            since="1.10.15+svc.1",
            default="15",
        )
    )
    content_security_policy: str = declare(
        Option(
            parse=validators.policy_mode,
            allowed="enforce, report-only or off",
            description="What the pages' Content-Security-Policy does: `enforce` has browsers refuse scripts that no\n"
            "template's author wrote; `report-only` has them tell of it in their console alone; `off` sends\n"
            "none. For plugins whose pages do not work under it yet.",
            since="1.10.15+svc.1",
            default="enforce",
        )
    )
    trusted_proxies: Networks = declare(
        Option(
            parse=Networks.parse,
            allowed="addresses and networks (10.0.0.0/8, ::1), separated by commas or spaces; or nothing",
            description="Who may send X-Forwarded-For and X-Forwarded-Prefix: the proxies before the webserver.\n"
            "From anybody else these headers are dropped.",
            since="1.10.15+svc.1",
            default="127.0.0.0/8, ::1",
        )
    )
    log_server_host: str = declare(
        Option(
            parse=validators.address,
            allowed="an IPv4 or IPv6 address; 0.0.0.0 and :: stand for all",
            description="Where a worker's log server listens. The webserver has to reach it there, by the host name\n"
            "that the worker stores with each task. Where all runs on one machine, 127.0.0.1 may do.",
            since="1.10.15+svc.1",
            default="0.0.0.0",
        )
    )


@dataclass(frozen=True, slots=True)
class WebserverSettings:
    """What this distribution reads of upstream's `[webserver]` section, and so checks."""

    base_url: BaseUrl = declare(
        Option(
            parse=BaseUrl.parse,
            allowed="an absolute http or https URL without user name, password, query, fragment; "
            "in its path A-Z a-z 0-9 . _ ~ - and /",
            description="Where browsers find the webserver. Its path is the prefix of every page.",
            since="1.10.15",
            default="http://localhost:8080",
        )
    )
    cookie_secure: bool = declare(
        Option(
            parse=validators.boolean,
            allowed="True or False",
            description="Whether cookies are Secure even if base_url is not https.",
            since="1.10.15",
            default="False",
        )
    )
    cookie_samesite: str = declare(
        Option(
            parse=validators.same_site,
            allowed="Strict, Lax, None, or nothing",
            description="The SameSite attribute of cookies; nothing is Lax.",
            since="1.10.15",
            default="Lax",
        )
    )
    authenticate: bool = declare(
        Option(
            parse=validators.boolean,
            allowed="True or False",
            description="Whether auth_backend has to let people in; without, everybody may do everything.",
            since="1.10.15",
            default="False",
        )
    )
    auth_backend: str = declare(
        Option(
            parse=str,
            allowed="a module",
            description="What lets people in: airflow_service.gateway is this distribution's.",
            since="1.10.15",
        )
    )
