"""Where assets are, for `url_for`, and what a page says of them to the browser.

An asset that the manifest knows is on the CDN, if there is one and it answers, or
else on the webserver itself under the same hashed name. What the manifest does not
know, such as a plugin's own files, stays with Flask.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from flask import has_request_context, request
from markupsafe import Markup

from airflow_service.asset_manifest import Manifest
from airflow_service.template_tags import Additions, StartTag

OWN_FOLDER = "/a/"
"""Where the webserver serves hashed names, below its prefix; as on the CDN."""
ENDPOINT = "airflow_service.hashed"
"""Of a hashed name on the webserver itself."""

# Flask's endpoint of each source of assets: the first part of their logical names.
ENDPOINTS = {"static": "static", "admin": "admin.static", "service": "airflow_service.static"}


class AssetUrls:
    """The hashed URLs of one manifest.

    `cdn_base` gives the CDN's URL without a trailing slash, or "" while its files
    are to be had from the webserver.
    """

    def __init__(self, manifest: Manifest, cdn_base: Callable[[], str]) -> None:
        self._cdn_base = cdn_base
        self._names: dict[tuple[str, Any], str] = {}
        self._attributes: dict[str, str] = {}
        for logical, asset in manifest.assets.items():
            source, _, path = logical.partition("/")
            self._names[ENDPOINTS.get(source, source), path] = asset.name
            self._attributes[asset.name] = f' integrity="{asset.integrity}"'

    def name(self, endpoint: str, filename: Any) -> str | None:
        """The hashed name of a static file, if it is one of the manifest's."""
        try:
            return self._names.get((endpoint, filename))
        except TypeError:  # a filename that is no text cannot be hashed either
            return None

    def url(self, name: str, external: bool = False) -> str | None:
        """The URL of a hashed name; None where Flask has to build it.

        That is the webserver's own URL with its host, or outside of a request.
        """
        if base := self._cdn_base():
            return f"{base}/a/{name}"
        if not external and has_request_context():
            return _own_folder(request.environ.get("SCRIPT_NAME", "")) + name
        return None

    def tag_attributes(self, url: str, crossorigin: bool = True) -> Markup:
        """What a tag that loads `url` needs, with a space before it, or nothing.

        A hashed name says which bytes it stands for, wherever it is served from.
        """
        name = url.strip().partition("#")[0].partition("?")[0].rpartition("/")[2]
        integrity = self._attributes.get(name)
        if integrity is None:
            return Markup()
        return Markup(integrity + (' crossorigin="anonymous"' if crossorigin else ""))


@lru_cache(maxsize=16)
def _own_folder(prefix: str) -> str:
    return quote(prefix.rstrip("/"), safe="/!$&'()*+,:;=@~") + OWN_FOLDER


def asset_tag(tag: StartTag) -> Additions:
    """For each script and style sheet whose address a template computes: ask for its attributes.

    The address is computed once, and kept: it may be another one each time.
    """
    if tag.name == "script":
        addresses = [value for value in tag.values if value.attribute == "src"]
    elif tag.name == "link" and _may_be_style_sheet(tag.attributes.get("rel", "")):
        addresses = [value for value in tag.values if value.attribute == "href"]
    else:
        return Additions()
    if "integrity" in tag.attributes or not any(_is_computed(value.text) for value in addresses):
        return Additions()
    # Jinja exports no name that begins with "_". Of the addresses a condition may leave some out.
    names = [f"_address_{value.begin}" for value in addresses]
    first = "|default(".join(names) + "|default('')" + ")" * (len(names) - 1)
    arguments = "(crossorigin=False)" if "crossorigin" in tag.attributes else ""
    kept = [(f"{{% set {name} %}}", f"{{% endset %}}{{{{ {name} }}}}") for name in names]
    return Additions(
        f"{{{{ ({first})|asset_attributes{arguments} }}}}", dict(zip(addresses, kept, strict=True))
    )


def _is_computed(text: str) -> bool:
    return "{{" in text or "{%" in text


def _may_be_style_sheet(rel: str) -> bool:
    """Any link may whose kind a template computes; what is needed for a style sheet harms no other kind."""
    return "stylesheet" in rel.lower().split() or _is_computed(rel)
