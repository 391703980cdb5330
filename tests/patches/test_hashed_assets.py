"""The pages name hashed assets: Airflow's, Flask-Admin's and plugins', on the webserver or the CDN."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow_process import PatchedAirflow
from harness.bundle import asset_folder
from harness.origin import serving_origin
from www_client import ask

PAGES = ("/admin/", "/admin/queryview/", "/admin/chart/new/?url=x", "/admin/variable/", "/admin/nowhere")
PLUGIN = """
from airflow.plugins_manager import AirflowPlugin
from flask import Blueprint
from flask_admin import BaseView, expose

class Bells(BaseView):
    @expose("/")
    def index(self):
        return self.render("bells.html")

bells = Blueprint(
    "bells_files", __name__, template_folder="templates", static_folder="static", static_url_path="/static/bells"
)

class Styled(Bells):
    extra_css = ["/static/bells/bells.css"]

class BellsPlugin(AirflowPlugin):
    name = "bells"
    admin_views = [Bells(category="Plugins", name="Bells"), Styled(category="Plugins", name="Quiet", endpoint="quiet")]
    flask_blueprints = [bells]
"""
TEMPLATE = """{% extends "airflow/master.html" %}
{% block body %}
<script src="{{ url_for('bells_files.static', filename='bells.js') }}"></script>
<script src='{{ url_for("static", filename="d3.v3.min.js") }}' defer></script>
<script src="/static/nv.d3.js"></script>
{% endblock %}
"""
# The tree has no bundle; a wheel has one here.
GET = """
import pathlib
from airflow_service import asset_manifest
asset_manifest.FOLDER = pathlib.Path({folder!r})
client = web().test_client()
def get(path, **more):
    reply = client.get(path, **more)
    return reply.status_code, dict(reply.headers), reply.get_data(as_text=True)
"""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, airflow_tree: Path) -> Path:
    return asset_folder(airflow_tree, tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def with_plugin(airflow_db: PatchedAirflow) -> PatchedAirflow:
    """A plugin with a view, a template and a static file of its own."""
    folder = airflow_db.home / "plugins"
    for name, text in {
        "bells.py": PLUGIN,
        "templates/bells.html": TEMPLATE,
        "static/bells.js": "ring()",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return airflow_db


def pages(airflow: PatchedAirflow, bundle: Path, *paths: str, **settings: str) -> list[Any]:
    """Status, headers and text of each page."""
    code = GET.format(folder=str(bundle))
    found: list[Any] = ask(
        airflow,
        f"{code}\nanswer([get(path) for path in {paths!r}])",
        **settings,
    )
    return found


def tags(text: str) -> list[str]:
    """The tags that load a script or a style sheet."""
    found = re.findall(r"<(?:script\b[^>]*\bsrc=|link\b[^>]*\bhref=)[^>]*>", text)
    return [tag for tag in found if not re.search(r'rel="(icon|preload)"', tag)]


def address(tag: str) -> str:
    found = re.search(r"""\b(?:src|href)=["']([^"']+)""", tag)
    assert found, tag
    return found[1]


def test_pages_name_hashed_assets(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """Each script and style sheet of each page has a hashed name and its hash, and can be had, below a prefix."""
    below = {"AIRFLOW__WEBSERVER__BASE_URL": "http://host/airflow-1"}
    found = pages(airflow_db, bundle, *PAGES, **below)
    for path, (_, _, text) in zip(PAGES, found, strict=True):
        assert tags(text), path
        for tag in tags(text):
            assert address(tag).startswith("/airflow-1/a/"), tag
            assert re.search(r' integrity="sha384-[A-Za-z0-9+/]{64}" crossorigin="anonymous"', tag), tag
    paths = {address(tag).removeprefix("/airflow-1") for _, _, text in found for tag in tags(text)}
    for status, headers, _ in pages(airflow_db, bundle, *paths):
        assert status == 200
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert headers["Access-Control-Allow-Origin"] == "*"


def test_a_page_has_one_style_sheet(with_plugin: PatchedAirflow, bundle: Path) -> None:
    """And the list of DAGs one script; but a plugin's view with style sheets of its own has them in their place."""
    found = pages(with_plugin, bundle, *PAGES[:-1], "/admin/bells/", "/admin/quiet/")
    names = [
        [re.sub(r"\.[0-9a-f]{20}", "", address(tag).rpartition("/")[2]) for tag in tags(text)]
        for *_, text in found
    ]
    *shown, bells = [[name for name in page if name.endswith(".css")] for page in names]
    assert all(page.count("pages.css") == 1 for page in shown)
    assert not {"bootstrap.min.css", "bootstrap-theme.css", "admin.css"} & set().union(*shown)
    assert names[0] == ["pages.css", "list_of_dags.js"]
    others = ["bootstrap.min.css", "bootstrap-theme.min.css", "admin.css", "submenu.css"]
    assert bells == [*others, "bells.css", "bootstrap-theme.css", "main.css"]


def test_pages_name_the_cdn(with_plugin: PatchedAirflow, bundle: Path) -> None:
    """With a CDN they have its URL, in a plugin's template too; what only the plugin knows stays here."""
    with serving_origin(bundle) as origin:
        settings = {"AIRFLOW__SERVICE__CDN_URL": f"{origin.url}/"}
        paths = (*PAGES, "/admin/bells/", "/static/bells/bells.js", "/static/nv.d3.js", "/static/nowhere.js")
        *shown, (_, _, plugins), own, old, lost = pages(with_plugin, bundle, *paths, **settings)
        for _, _, text in shown:
            assert {address(tag).rpartition("/")[0] for tag in tags(text)} == {f"{origin.url}/a"}
            assert all(" integrity=" in tag for tag in tags(text))
        of_plugin = {tag for tag in tags(plugins) if re.search(r"bells\.js|d3\.v3\.min|nv\.d3\.js", tag)}
        assert len(of_plugin) == 3
        assert any(tag.startswith('<script src="/static/bells/bells.js" nonce=') for tag in of_plugin)
        assert [tag for tag in of_plugin if f"src='{origin.url}/a/d3.v3.min." in tag and "integrity" in tag]
        # Ordinary caching for a plugin's file; the old address of one of ours leads to where it is.
        assert (own[0], own[2], own[1]["Cache-Control"]) == (200, "ring()", "no-cache")
        assert own[1]["ETag"]
        assert (old[0], old[1]["Cache-Control"]) == (302, "no-cache")
        assert old[1]["Location"].startswith(f"{origin.url}/a/nv.d3.")
        assert lost[0] == 404


def test_a_cdn_that_does_not_answer_at_start(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """The first page already names the webserver's own assets, and `/health` says why."""
    with serving_origin(bundle) as origin:
        origin.stop()
        settings = {"AIRFLOW__SERVICE__CDN_URL": origin.url}
        index, health = pages(airflow_db, bundle, "/admin/", "/health", **settings)
    assert {address(tag).rpartition("/")[0] for tag in tags(index[2])} == {"/a"}
    cdn = json.loads(health[2])["cdn"]
    assert (cdn["status"], cdn["url"]) == ("unhealthy", settings["AIRFLOW__SERVICE__CDN_URL"])
    assert "no answer" in cdn["problem"]


def test_health_tells_of_the_cdn(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """Only if one is configured; before the first page has waited for a check, it waits for none."""
    with serving_origin(bundle) as origin:
        asked = ("/health", "/admin/", "/health")
        first, _, second = pages(airflow_db, bundle, *asked, AIRFLOW__SERVICE__CDN_URL=origin.url)
    assert json.loads(first[2])["cdn"]["status"] in ("checking", "healthy")
    assert json.loads(second[2])["cdn"]["status"] == "healthy"
    assert "cdn" not in json.loads(pages(airflow_db, bundle, "/health")[0][2])


def test_the_tree_serves_plain_static_files(airflow_db: PatchedAirflow) -> None:
    """Without a bundle there are Flask's own URLs, and no hashes."""
    text = ask(airflow_db, """answer(web().test_client().get("/admin/").get_data(as_text=True))""")
    assert "/static/main.css" in {address(tag) for tag in tags(text)}
    assert " integrity=" not in text


URLS = (
    GET
    + """
from flask import url_for
with client.application.test_request_context("/admin/", base_url="https://host/p/"):
    main = url_for("static", filename="main.css")
    assert re.fullmatch(r"/p/a/main\\.[0-9a-f]{{20}}\\.css", main), main
    assert url_for("static", filename="main.css", v=1, _anchor="a b") == main + "#a%20b"
    assert url_for("static", filename="main.css", _external=True) == "https://host" + main
    assert url_for("static", filename="main.css", _external=True, _scheme="http") == "http://host" + main
    assert url_for(".static", filename="vendor/jquery.min.js").startswith("/p/a/jquery.min.")
    assert url_for("static", filename="no.css", v=1, _anchor="x") == "/p/static/no.css?v=1#x"
    assert url_for("static", filename=["main.css"]).startswith("/p/static/")
    assert url_for("admin.index") == "/p/admin/"
with client.application.test_request_context("/", base_url="https://host/a%20b/"):
    assert url_for("static", filename="main.css") == main.replace("/p/", "/a%20b/", 1)
with client.application.app_context():
    answer(url_for("static", filename="main.css") == "https://host" + main)
"""
)


def test_url_for_as_flask_has_it(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """Anchors, external URLs, relative endpoints and prefixes work for hashed URLs, too."""
    below = {"AIRFLOW__WEBSERVER__BASE_URL": "https://host/p"}
    assert ask(airflow_db, URLS.format(folder=str(bundle)), **below) is True


def test_pages_can_name_a_failed_asset(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """The script that listens for failures stands before whatever can fail."""
    for _, _, text in pages(airflow_db, bundle, "/admin/", "/admin/queryview/", "/admin/variable/"):
        assert text.index('addEventListener("error"') < text.index(tags(text)[0])


def test_ace_knows_its_modules(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """Each page with an editor has the hashed URLs of its modes and themes, before it makes the editor."""
    paths = ("/admin/queryview/", "/admin/chart/new/?url=x", "/admin/chart/edit/?id=1")
    below = {"AIRFLOW__WEBSERVER__BASE_URL": "http://host/p"}
    for status, _, text in pages(airflow_db, bundle, *paths, **below):
        assert status == 200
        urls = json.loads(re.findall(r"\}\)\((\{.*\}), \"/p/static/\"\);", text)[0])
        assert urls["ace/mode/sql"] in {address(tag) for tag in tags(text)}
        assert set(urls) == {"ace/mode/sql", "ace/theme/crimson_editor"}
        assert text.index("setModuleUrl") < text.index("ace.edit(")


TAGS = GET + """
from flask import render_template_string
known, unknown = "{{{{ url_for('static', filename='main.css') }}}}", "{{{{ url_for('static', filename='x.css') }}}}"
cases = [
    f'<link rel="stylesheet" href="{{known}}">',
    f"<LINK REL='alternate StyleSheet' HREF='{{known}}#x' />",
    f'<script src={{known}} async></script>',
    f'<script src="{{{{% if 1 %}}}}{{known}}{{{{% endif %}}}}"></script>',
    '<script src="{{{{ url_for(\\n\\'static\\',\\nfilename=\\'main.css\\') }}}}"></script>',
    f'<script src="{{known}}?v=2"></script>',
    f'<link rel="{{{{{{{{ "stylesheet" }}}}}}}}" href="{{known}}">',
    f'<script src="{{known}}" crossorigin></script>',
    f'<script src="{{known}}" integrity="sha384-own"></script>',
    f'<script src="{{unknown}}"></script>',
    f'<link rel="icon" href="{{known}}">',
    f'<link rel="stylesheet" href="https://elsewhere/x.css">',
    f'<script>var a = "<script src=\\'{{known}}\\'>"</script>',
]
with client.application.test_request_context("/"):
    answer([render_template_string(case) for case in cases])
"""


def test_which_tags_name_their_content(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """Scripts and style sheets of the manifest, however the tag is written; no other, and none twice."""
    found = ask(airflow_db, TAGS.format(folder=str(bundle)))
    whole = [bool(re.search(r' integrity="sha384-[^"]{64}" crossorigin="anonymous"', text)) for text in found]
    assert whole == [True] * 7 + [False] * 6, found
    assert re.search(r' crossorigin integrity="sha384-[^"]{64}"', found[7])
    assert found[8].count("integrity") == 1
    assert [text.count("integrity") for text in found[9:]] == [0, 0, 0, 0]


MAIN = "{{ url_for('static', filename='main.css') }}"
ONCE = {
    "other each time": '{% set turn = cycler("main.css", "nv.d3.css") %}'
    '<link rel="stylesheet" href="{{ url_for("static", filename=turn.next()) }}">',
    "counted": '{% set turn = cycler("1", "2") %}<script src="/x.js?{{ turn.next() }}"></script>{{ turn.next() }}',
    "in a block": f'<script src="{{% block address %}}{MAIN}{{% endblock %}}"></script>',
    "first": f'<script {{% if 1 %}}src="{MAIN}"{{% else %}}src="{MAIN}-"{{% endif %}}></script>',
    "second": f"<script {{% if 0 %}}src={MAIN}-{{% else %}}src={MAIN}{{% endif %}}></script>",
    "plain": f'<script {{% if 0 %}}src="{MAIN}"{{% else %}}src="y.js"{{% endif %}}></script>',
    "in turn": '{% for name in ("main.css", "x.css", "nv.d3.css") %}<link rel="stylesheet"'
    '{% if name != "x.css" %} href={{ url_for("static", filename=name) }}{% endif %}>{% endfor %}',
}
RENDER = """
from flask import render_template_string, url_for
with client.application.test_request_context("/"):
    known = [url_for("static", filename=name) for name in ("main.css", "nv.d3.css")]
    hashes = [str(client.application.assets.tag_attributes(url)) for url in known]
    answer([hashes, {{name: render_template_string(case) for name, case in {cases!r}.items()}}])
"""


def test_an_address_is_computed_once(airflow_db: PatchedAirflow, bundle: Path) -> None:
    """One that is another each time, or under a condition, has the hash of what the page loads."""
    (main, other), found = ask(airflow_db, (GET + RENDER).format(folder=str(bundle), cases=ONCE))
    counted = found.pop("counted")
    assert 'src="/x.js?1"' in counted
    assert counted.endswith("2"), counted
    assert " integrity" not in found.pop("plain")
    in_turn = found.pop("in turn").split("<link")[1:]
    assert [(main in tag, other in tag) for tag in in_turn] == [(True, False), (False, False), (False, True)]
    assert all(main in text and other not in text for text in found.values()), found
