"""The assets: those of this installation, and those on the CDN."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from airflow_service.asset_manifest import Manifest, installed_manifest, same_assets
from airflow_service.cdn_check import manifest_url
from airflow_service.config import read_service_section
from airflow_service.doctor.findings import Fact, Finding, Severity
from airflow_service.errors import BrokenInstallation, WrongSettings
from airflow_service.sources import Configuration

TIMEOUT = 5
_MANIFEST_LIMIT = 16 * 1024 * 1024


class _Trouble(Exception):
    """What is wrong with an answer of the CDN's, and its usual cause."""

    def __init__(self, problem: str, cause: str) -> None:
        super().__init__(problem)
        self.cause = cause


def installation(configuration: Configuration) -> Iterator[Fact | Finding]:
    """The manifest and the hashed files of the wheel."""
    try:
        manifest = installed_manifest()
    except BrokenInstallation as error:
        problem, cause, next_step = str(error).splitlines()
        yield Finding(
            "assets",
            Severity.ERROR,
            problem[:1].upper() + problem[1:] + ".",
            cause.partition(": ")[2],
            next_step.partition(": ")[2],
        )
        return
    if manifest is not None:
        yield Fact("distribution", "assets", f"{len(manifest.assets)}, all there")


def cdn(configuration: Configuration) -> Iterator[Fact | Finding]:
    """The asset bundle of this version, where `[service] cdn_url` says it is."""
    try:
        cdn_url = read_service_section(configuration).settings.cdn_url
    except WrongSettings:
        return  # told by the check of the section
    if not cdn_url:
        return
    version: str = importlib.import_module("airflow_service._version").VERSION
    url = manifest_url(cdn_url, version)
    try:
        body = _read_manifest(url)
    except _Trouble as trouble:
        yield Fact("cdn", "manifest", f"{url} (not found)")
        yield Finding(
            "cdn",
            Severity.ERROR,
            f"The CDN does not give the manifest of {version}: {trouble}.",
            trouble.cause,
            f"Publish the asset bundle of {version} there, or correct [service] cdn_url; curl -i {url}",
        )
        return
    yield Fact("cdn", "manifest", f"{url} (found)")
    with suppress(BrokenInstallation):  # told by the check of the installation
        if manifest := installed_manifest():
            yield from _same_bundle(manifest, body, url)
            yield from _cross_origin(manifest, cdn_url, configuration)


def _same_bundle(manifest: Manifest, body: bytes, url: str) -> Iterator[Finding]:
    """As the webserver compares it with the installed manifest."""
    if not same_assets(body, manifest.content):
        yield Finding(
            "cdn",
            Severity.ERROR,
            "The manifest on the CDN is not the one of this installation, so that the CDN is not used.",
            "Another build was published under this version's number, or this installation is another build.",
            f"Publish the bundle that belongs to this wheel; raise the revision with each build. curl {url}",
        )


def _cross_origin(manifest: Manifest, cdn_url: str, configuration: Configuration) -> Iterator[Fact | Finding]:
    """Scripts and styles with `integrity`, and fonts, are refused without a word of the CDN's."""
    base_url = configuration.get("webserver", "base_url")
    parts = urlsplit(base_url.text if base_url is not None else "")
    origin = f"{parts.scheme}://{parts.netloc}"
    name = min(asset.name for asset in manifest.assets.values() if asset.name.endswith((".js", ".css")))
    url = f"{cdn_url}/a/{name}"
    try:
        allowed = _allowed_origin(url, origin)
    except _Trouble as trouble:
        problem, cause = f"The CDN has the manifest, but not the asset {url}: {trouble}.", trouble.cause
        yield Finding("cdn", Severity.ERROR, problem, cause, "Publish the asset bundle anew.")
        return
    if allowed in ("*", origin):
        yield Fact("cdn", "cross-origin use", f"allowed ({allowed})")
        return
    yield Fact("cdn", "cross-origin use", f"not allowed ({allowed or 'no header'})")
    yield Finding(
        "cdn",
        Severity.ERROR,
        f"The CDN does not allow pages of {origin} to use its scripts, styles and fonts.",
        "The bucket has no CORS rule, or the CDN drops or caches Access-Control-Allow-Origin.",
        f"Let it answer with Access-Control-Allow-Origin: *; curl -i -H 'Origin: {origin}' {url}",
    )


def _read_manifest(url: str) -> bytes:
    """The manifest's bytes; raises _Trouble if the answer is none."""
    body, headers = _get(url, {"Accept": "application/json"}, _MANIFEST_LIMIT + 1)
    if len(body) > _MANIFEST_LIMIT:
        raise _Trouble("the answer is larger than any manifest", "cdn_url names something else than the bundle.")
    try:
        manifest = json.loads(body)
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        kind = headers.get_content_type()
        raise _Trouble(f"the answer is no JSON object, but {kind}", "cdn_url names a web site, not the bundle.")
    return body


def _allowed_origin(url: str, origin: str) -> str:
    return str(_get(url, {"Origin": origin}, 1)[1].get("Access-Control-Allow-Origin", ""))


def _get(url: str, headers: dict[str, str], limit: int) -> tuple[bytes, Any]:
    """Up to `limit` bytes of the answer, and its headers."""
    request = Request(url, headers={"User-Agent": "airflow-service", **headers})
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            return answer.read(limit), answer.headers
    except HTTPError as error:
        if error.code in (403, 404):  # S3 says 403 for what is not there, unless one may list
            cause = "The bundle of this version is not published, or cdn_url names another folder."
            raise _Trouble(f"it answers {error.code}", cause) from error
        raise _Trouble(f"it answers {error.code}", "The CDN or its origin has a fault.") from error
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        cause = "The host name is wrong, or a firewall or proxy is in the way."
        raise _Trouble(f"no answer ({reason})", cause) from error
