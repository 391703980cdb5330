"""Small scripts that stand in the pages themselves, in a `<script>` of a template.

They are there before any file is loaded, and cost no request.
"""

from __future__ import annotations

from flask import current_app, url_for
from markupsafe import Markup

from airflow_service.asset_urls import ENDPOINTS
from airflow_service.page_json import script_json

# Listens before the first file is asked for, and in the capture phase, since these events do not bubble.
# Styles are set by property: a policy that forbids inline styles allows that.
_ASSET_ERRORS = """
addEventListener("error", function (event) {
  var element = event.target;
  var isScript = element instanceof HTMLScriptElement;
  var isSheet = element instanceof HTMLLinkElement && /(^| )stylesheet( |$)/i.test(element.rel);
  if (!isScript && !isSheet) return;
  function show() {
    var box = document.getElementById("asset-errors");
    if (!box) {
      box = document.createElement("div");
      box.id = "asset-errors";
      box.setAttribute("role", "alert");
      box.style.cssText = "padding:1em;background:#a94442;color:#fff;position:relative;z-index:9999";
      box.textContent = "This page is not whole: a file of it is missing, or was changed on its way here. " +
        "Reload it; if this stays, tell whoever looks after this Airflow.";
      document.body.insertBefore(box, document.body.firstChild);
    }
    var line = document.createElement("div");
    line.textContent = (element.src || element.href) +
      (element.integrity ? " could not be loaded, or its content is not that of this version" :
        " could not be loaded");
    box.appendChild(line);
  }
  if (document.body) show(); else document.addEventListener("DOMContentLoaded", show);
}, true);
"""

# Ace looks for its modules beside its own script, and knows that only by its plain name. What the
# release lacks would be asked for in vain: the search box and the menu of settings, by a key each.
_ACE = """
(function (urls, base) {
  ace.config.set("packaged", true);
  ["basePath", "modePath", "themePath", "workerPath"].forEach(function (key) { ace.config.set(key, base); });
  Object.keys(urls).forEach(function (name) { ace.config.setModuleUrl(name, urls[name]); });
  define("ace/ext/searchbox", [], function (require, exports) { exports.Search = function () {}; });
  define("ace/ext/settings_menu", [], function (require, exports) { exports.init = function () {}; });
})(%s, %s);
"""


def asset_errors() -> Markup:
    """Shows which script or style sheet of a page was not loaded, or was refused for its content."""
    return Markup(_ASSET_ERRORS)


def ace_modules() -> Markup:
    """Tells Ace where its modules are; nothing where they lie beside its script.

    A worker from another origin is no matter here: Ace itself then starts one from a
    blob that imports the script, which a Content-Security-Policy has to allow
    (`worker-src blob:`).
    """
    groups: dict[str, dict[str, str]] = getattr(current_app, "asset_groups", {})
    if "ace" not in groups:
        return Markup()
    urls = {module: _url(logical) for module, logical in groups["ace"].items()}
    base = url_for("static", filename="-")[:-1]
    return Markup(_ACE % (script_json(urls), script_json(base)))


def _url(logical: str) -> str:
    source, _, path = logical.partition("/")
    return str(url_for(ENDPOINTS[source], filename=path))
