"""The webserver's Flask: hashed asset URLs, wherever a page's text comes from."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Blueprint, Flask, Response, current_app, redirect, request
from jinja2 import Environment
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from airflow_service import list_of_dags, page_scripts, page_styles
from airflow_service.asset_manifest import installed_manifest
from airflow_service.asset_server import serve_assets
from airflow_service.asset_urls import ENDPOINT, OWN_FOLDER, AssetUrls, asset_tag
from airflow_service.cdn_watch import CdnWatch, Checks
from airflow_service.config import read_service_section, read_webserver_section
from airflow_service.error_pages import with_icon
from airflow_service.goto import buttons
from airflow_service.template_tags import add_rewriter


class ServiceFlask(Flask):  # type: ignore[misc]  # the checks run without Flask
    """Flask whose static files have the URLs of the manifest, if there is one.

    Every `url_for`, of views, templates, Flask-Admin and plugins, comes through this
    class. Raises BrokenInstallation and WrongSettings when it is made.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.assets: AssetUrls | None = None
        self.asset_groups: dict[str, dict[str, str]] = {}
        self.cdn: CdnWatch | None = None
        super().__init__(*arguments, **options)
        # Its files have hashed names in a wheel; this is for their URLs in a tree, which has none.
        folders = {"static_folder": "static", "template_folder": "templates"}
        self.register_blueprint(
            Blueprint("airflow_service", __name__, static_url_path="/own-static", **folders)
        )
        manifest = installed_manifest()
        if manifest is None:
            return
        settings = read_service_section().settings
        if settings.cdn_url:
            checks = Checks(settings.cdn_check_interval)
            origin = read_webserver_section().settings.base_url.origin
            self.cdn = CdnWatch(settings.cdn_url, manifest, origin, checks)
        self.assets = AssetUrls(manifest, self.cdn.base if self.cdn else str)
        self.asset_groups = manifest.groups
        self.add_url_rule(f"{OWN_FOLDER}<name>", ENDPOINT, build_only=True)
        application: Any = self.wsgi_app  # type: ignore[has-type]
        self.wsgi_app = serve_assets(application, manifest)

    def handle_http_exception(self, e: HTTPException) -> Any:
        """As Flask's; a page that nobody has written has an icon."""
        answer = super().handle_http_exception(e)
        own = answer is e and e.code is not None and e.code >= 400 and e.response is None
        return with_icon(e) if own else answer

    def create_jinja_environment(self) -> Environment:
        """Flask's, in which each script and style sheet of the manifest names its hash."""
        environment: Environment = super().create_jinja_environment()
        environment.filters["asset_attributes"] = _tag_attributes
        environment.globals |= {
            "asset_errors": page_scripts.asset_errors,
            "ace_modules": page_scripts.ace_modules,
            "dag_data": list_of_dags.dag_data,
            "dag_links": list_of_dags.dag_links,
            "dags_page": list_of_dags.dags_page,
            "goto_data": buttons.goto_data,
            "goto_link": buttons.goto_link,
            "one_style_sheet": page_styles.one_style_sheet,
        }
        add_rewriter(environment, asset_tag)
        return environment

    def url_for(
        self,
        /,
        endpoint: str,
        *,
        _anchor: str | None = None,
        _method: str | None = None,
        _scheme: str | None = None,
        _external: bool | None = None,
        **values: Any,
    ) -> str:
        """As Flask's; an asset of the manifest has its hashed URL, and other values play no part."""
        if self.assets is not None and "filename" in values:
            if endpoint[:1] == ".":
                endpoint = f"{request.blueprint}{endpoint}" if request.blueprint else endpoint[1:]
            name = self.assets.name(endpoint, values["filename"])
            if name is not None:
                url = self.assets.url(name, external=_external or _scheme is not None)
                if url is not None:
                    return url if _anchor is None else f"{url}#{quote(_anchor, safe=_ANCHOR)}"
                endpoint, values = ENDPOINT, {"name": name}
        url = super().url_for(
            endpoint, _anchor=_anchor, _method=_method, _scheme=_scheme, _external=_external, **values
        )
        return str(url)

    def send_static_file(self, filename: str) -> Response:
        """As Flask's; the old address of an asset that the wheel has by its hashed name leads there.

        Not by its bytes: a style sheet's references hold for the folder of hashed names.
        """
        if self.assets is not None and self.assets.name("static", filename) is not None:
            response: Response = redirect(self.url_for("static", filename=filename))
            response.cache_control.no_cache = True
            return response
        return super().send_static_file(filename)


# Those that Flask leaves as they are.
_ANCHOR = "%!#$&'()*+,/:;=?@"


def _tag_attributes(url: str, crossorigin: bool = True) -> Markup:
    """The filter that `asset_tag` writes into templates."""
    assets: AssetUrls | None = getattr(current_app, "assets", None)
    return assets.tag_attributes(url, crossorigin) if assets is not None else Markup()


def cdn_health() -> dict[str, dict[str, str]]:
    """The part of `/health` that tells of the CDN; empty without one."""
    watch: CdnWatch | None = getattr(current_app, "cdn", None)
    return {} if watch is None else {"cdn": watch.health()}
