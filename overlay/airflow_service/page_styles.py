"""The style sheets that every page has, as one file."""

from __future__ import annotations

from typing import Any

from flask import current_app

from airflow_service.asset_urls import AssetUrls

ENDPOINT, FILE = "airflow_service.static", "pages.css"
# Flask-Admin's name for the bootstrap that is in the file.
_SWATCH = "default"


def one_style_sheet(view: Any) -> bool:
    """Whether a page can take the one file in the place of its parts.

    Not where a plugin's view has style sheets of its own, which stand between them,
    or has set another swatch; and not in a tree, which has no bundle.
    """
    assets: AssetUrls | None = getattr(current_app, "assets", None)
    if assets is None or assets.name(ENDPOINT, FILE) is None:
        return False
    swatch = current_app.config.get("FLASK_ADMIN_SWATCH", _SWATCH)
    return swatch == _SWATCH and not getattr(view, "extra_css", None)
