"""The `[service]` section: read and checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from airflow_service.errors import Fault, WrongSettings
from airflow_service.masking import MASK, mask_url, shown
from airflow_service.options import (
    SECTION,
    WEBSERVER,
    Option,
    ServiceSettings,
    WebserverSettings,
    declared,
)
from airflow_service.sources import DEFAULT, Configuration, UnreadableValue, Value

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Section(Generic[S]):
    """What a section says: the settings, and where each of them was set."""

    settings: S
    sources: dict[str, str]


def read_service_section(configuration: Configuration | None = None) -> Section[ServiceSettings]:
    """The `[service]` section of this process; WrongSettings names all its faults."""
    return read_section(configuration or Configuration.read(), SECTION, ServiceSettings)


def read_webserver_section(configuration: Configuration | None = None) -> Section[WebserverSettings]:
    """What this distribution reads of `[webserver]`; its other keys are upstream's."""
    return _read(configuration or Configuration.read(), WEBSERVER, WebserverSettings, [])


def check(configuration: Configuration | None = None) -> None:
    """Raise WrongSettings with the faults of all that is read here."""
    configuration = configuration or Configuration.read()
    faults: list[Fault] = []
    service, webserver = None, None
    try:
        service = read_service_section(configuration)
    except WrongSettings as error:
        faults += error.faults
    try:
        webserver = read_webserver_section(configuration)
    except WrongSettings as error:
        faults += error.faults
    if service is not None and webserver is not None:
        faults += pair_faults(service, webserver)
    if faults:
        raise WrongSettings(faults)


def pair_faults(service: Section[ServiceSettings], webserver: Section[WebserverSettings]) -> list[Fault]:
    """The faults of values that are right alone, and wrong together."""
    faults = []
    cdn_url = service.settings.cdn_url
    https = webserver.settings.base_url.scheme == "https"
    if https and cdn_url.startswith("http:"):
        wrong = "pages of an https base_url may load nothing by http: browsers block it; allowed here: an https URL"
        faults.append(Fault(SECTION, "cdn_url", shown(cdn_url), wrong, service.sources["cdn_url"]))
    if webserver.settings.cookie_samesite == "None" and not (https or webserver.settings.cookie_secure):
        wrong = "browsers refuse such a cookie unless it is Secure; allowed here: Lax or Strict, or an https base_url"
        source = webserver.sources["cookie_samesite"]
        faults.append(Fault(WEBSERVER, "cookie_samesite", "None", wrong, source))
    return faults


def read_section(configuration: Configuration, name: str, settings: type[S]) -> Section[S]:
    """Check every value and every name of a section before anything is said."""
    faults = [*_wrong_names(configuration, name, declared(settings))]
    if configuration.trouble is not None:
        wrong = f"the file cannot be read: {configuration.trouble}"
        faults.append(Fault(name, "*", None, wrong, str(configuration.file)))
    return _read(configuration, name, settings, faults)


def _read(configuration: Configuration, name: str, settings: type[S], faults: list[Fault]) -> Section[S]:
    options = declared(settings)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, option in options.items():
        value = Value(option.default, DEFAULT)
        try:
            value = configuration.get(name, key, command_allowed=option.secret) or value
            values[key] = option.parse(value.text)
        except UnreadableValue as error:
            source, _, reason = str(error).partition(": ")
            faults.append(Fault(name, key, None, reason, source))
        except ValueError as error:
            wrong = f"{error}; allowed: {option.allowed}"
            faults.append(Fault(name, key, displayed(option, value.text), wrong, value.source))
        sources[key] = value.source
    if faults:
        raise WrongSettings(faults)
    return Section(settings(**values), sources)


def displayed(option: Option[Any], text: str) -> str:
    """A value as it may be shown."""
    return MASK if option.secret and text else shown(mask_url(text) if "@" in text else text)


def effective(section: Section[S]) -> dict[str, str]:
    """The settings in force as text, without secrets, by key."""
    shown_as = {}
    for key, option in declared(type(section.settings)).items():
        text = option.default if section.sources[key] == DEFAULT else str(getattr(section.settings, key))
        shown_as[key] = MASK if option.secret and text else text
    return shown_as


def _wrong_names(configuration: Configuration, section: str, options: dict[str, Option[Any]]) -> list[Fault]:
    known = {key: key for key in options}
    for key, option in options.items():
        if option.secret:
            known |= {f"{key}_cmd": key, f"{key}_secret": key}
    faults = []
    for name in configuration.set_names(section):
        if name.text not in known:
            close = get_close_matches(name.text.lower(), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are: {', '.join(known)}"
            faults.append(Fault(section, name.text, None, f"there is no such key; {hint}", name.source))
    for variable in configuration.variables(section):
        if variable != variable.upper():
            wrong = f"it has no effect, for Airflow looks for upper case: {variable.upper()}"
            key = variable.split("__", 2)[2]
            faults.append(Fault(section, key, None, wrong, f"environment variable {variable}"))
    return faults
