"""The webserver's own copy of the assets, under the same hashed names as on the CDN."""

from __future__ import annotations

from typing import Any
from wsgiref.headers import Headers

from whitenoise import WhiteNoise

from airflow_service.asset_manifest import Manifest
from airflow_service.asset_urls import OWN_FOLDER

CACHE = "public, max-age=31536000, immutable"


def serve_assets(application: Any, manifest: Manifest) -> Any:
    """`application`, with the manifest's files before it, each as small as the browser takes it."""
    types = {asset.name: asset.type for asset in manifest.assets.values()}

    def add_headers(headers: Headers, path: str, url: str) -> None:
        name = url.removeprefix(OWN_FOLDER)
        headers["Cache-Control"] = CACHE
        headers["X-Content-Type-Options"] = "nosniff"
        # Weak, for the compressed variants have it too; the same on every machine.
        headers["ETag"] = f'W/"{name}"'
        if name in types:
            headers["Content-Type"] = types[name]

    return WhiteNoise(
        application, root=str(manifest.files), prefix=OWN_FOLDER, max_age=None, add_headers_function=add_headers
    )
