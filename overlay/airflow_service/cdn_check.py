"""One look at the CDN: the manifest of this version, and one asset as a page asks for it."""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from typing import Any
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from airflow_service.asset_manifest import Manifest, same_assets

log = logging.getLogger(__name__)

_BLOCK = 65536
# Another build's manifest of the same assets has other variants, and so about this length.
_LONGER = 65536


def manifest_url(cdn_url: str, version: str) -> str:
    """Where a version's manifest lies. `+` is encoded: S3 reads a bare one as a space."""
    return f"{cdn_url}/manifests/{quote(version, safe='')}.json"


class CdnCheck:
    """Asks one CDN whether pages of `origin` can have the assets of `manifest` from it.

    The manifest must name the same assets: another version's would mean other bytes
    under the pages' names. The asset shows what a manifest cannot: that the folder of
    assets may be read, and that browsers let pages of another origin use it.
    """

    def __init__(self, cdn_url: str, manifest: Manifest, origin: str) -> None:
        self.url = manifest_url(cdn_url, manifest.version)
        self._manifest = manifest.content
        self._origin = origin
        # The smallest of what browsers ask for across origins: it is asked for each time.
        asset = min(manifest.assets.values(), key=lambda one: (not one.name.endswith((".js", ".css")), one.size))
        self._asset, self._asset_url = asset, f"{cdn_url}/a/{asset.name}"
        self._etag = ""

    def ask(self, patience: float) -> str:
        """What is wrong with the CDN, or nothing; `patience` in seconds is for both answers together."""
        deadline = time.monotonic() + patience
        try:
            return self._ask_for_manifest(deadline) or self._ask_for_asset(deadline)
        except (requests.Timeout, TimeoutError, ReadTimeoutError):
            return f"no whole answer within {patience:g} seconds"
        except (requests.RequestException, HTTPError) as error:
            return f"no answer ({type(error).__name__})"
        except Exception as error:  # the checks go on, whatever a proxy or a library comes up with
            log.exception("The check of the CDN failed")
            return f"the check failed ({type(error).__name__})"

    def _ask_for_manifest(self, deadline: float) -> str:
        headers = {"Cache-Control": "no-cache"}
        if self._etag:
            headers["If-None-Match"] = self._etag
        with _get(self.url, headers, deadline) as answer:
            if answer.status_code == 304 and self._etag:
                return ""
            if answer.status_code != 200:
                return f"it answers {answer.status_code}"
            same = same_assets(_body(answer, 2 * len(self._manifest) + _LONGER, deadline), self._manifest)
            self._etag = answer.headers.get("ETag", "") if same else ""
            return "" if same else "it has another manifest under this version's name"

    def _ask_for_asset(self, deadline: float) -> str:
        name = self._asset.name
        with _get(self._asset_url, {"Origin": self._origin}, deadline) as answer:
            if answer.status_code != 200:
                return f"it answers {answer.status_code} for the asset {name}"
            if answer.headers.get("Access-Control-Allow-Origin", "") not in ("*", self._origin):
                return "it does not let other sites' pages use its assets (Access-Control-Allow-Origin)"
            digest = hashlib.sha384(_body(answer, self._asset.size, deadline)).digest()
        if f"sha384-{base64.b64encode(digest).decode()}" != self._asset.integrity:
            return f"it has other bytes under the asset's name {name}"
        return ""


def _get(url: str, headers: dict[str, str], deadline: float) -> Any:
    headers = {"User-Agent": "airflow-service", **headers}
    timeout = max(deadline - time.monotonic(), 0.001)
    # An asset's address answers itself: the pages' policy stops a redirect to another host.
    return requests.get(url, headers=headers, timeout=timeout, stream=True, allow_redirects=False)


def _body(answer: requests.Response, limit: int, deadline: float) -> bytes:
    """The decoded body, or a little more than `limit` bytes of a longer one; TimeoutError after the deadline."""
    received = b""
    # read1 gives what is there: a server that drips is noticed between two drops.
    while block := answer.raw.read1(_BLOCK, decode_content=True):
        received += block
        if time.monotonic() > deadline:
            raise TimeoutError
        if len(received) > limit:
            break
    return received
