"""The pages under their Content-Security-Policy: headers, nonces, and no script in an attribute."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from airflow_process import PatchedAirflow, patched
from www_client import RUN_DAG, ask, write_dag

_PAGES = {
    "index": "/admin/",
    "graph": "/admin/airflow/graph?dag_id=pair",
    "tree": "/admin/airflow/tree?dag_id=pair",
    "duration": "/admin/airflow/duration?dag_id=pair&days=9999",
    "tries": "/admin/airflow/tries?dag_id=pair&days=9999",
    "code": "/admin/airflow/code?dag_id=pair",
    "log": "/admin/airflow/log?dag_id=pair&task_id=first&execution_date=2026-01-01T00:00:00%2B00:00",
    "trigger": "/admin/airflow/trigger?dag_id=pair&origin=%2Fadmin%2F%27%3Balert(1)%3B%27",
    "runs": "/admin/dagrun/",
    "pools": "/admin/pool/",
    "query": "/admin/queryview/",
    "not found": "/admin/nowhere/",
}
# Each page, and one of them under other settings; then a form that asks for confirmation.
_ASK = """
import os
def headers(**settings):
    os.environ.update(settings)
    try:
        return dict(web().test_client().get("/admin/pool/").headers)
    finally:
        for name in settings:
            del os.environ[name]
client = web().test_client()
pages = {}
for name, path in PAGES.items():
    page = client.get(path)
    pages[name] = [page.status_code, dict(page.headers), page.get_data(as_text=True)]
answer(dict(
    pages=pages,
    confirm=post(client, "/admin/airflow/clear", dag_id="pair", task_id="first", origin="/admin/",
                 execution_date="2026-01-01T00:00:00+00:00").get_data(as_text=True),
    reported=headers(AIRFLOW__SERVICE__CONTENT_SECURITY_POLICY="report-only",
                     AIRFLOW__WEBSERVER__X_FRAME_ENABLED="False"),
    off=headers(AIRFLOW__SERVICE__CONTENT_SECURITY_POLICY="off"),
))
"""


@pytest.fixture(scope="module")
def seen(
    airflow_tree: Path,
    airflow_interpreter: Path,
    database_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What the webserver answers for a DAG that has run."""
    airflow = patched(tmp_path_factory.mktemp("policy"), airflow_tree, airflow_interpreter)
    shutil.copy(database_template, airflow.home / "airflow.db")
    write_dag(airflow)
    return dict(ask(airflow, f"{RUN_DAG}\nPAGES = {_PAGES!r}\n{_ASK}"))


def test_each_page_has_a_policy_with_its_nonce(seen: dict[str, Any]) -> None:
    """Every script and style that the page brings carries the nonce of its own answer's header."""
    nonces = set()
    for name, (status, headers, text) in seen["pages"].items():
        assert status == (404 if name == "not found" else 200), name
        assert headers["Cache-Control"] == "no-store", name
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        [nonce] = set(re.findall(r"'nonce-([^']+)'", policy))
        nonces.add(nonce)
        tags = re.findall(r"<(?:script|style)\b[^>]*>", text)
        assert tags, name
        assert [tag for tag in tags if f'nonce="{nonce}"' not in tag] == [], name
    assert len(nonces) == len(_PAGES)


def test_the_policy_is_what_was_set(seen: dict[str, Any]) -> None:
    """It can report alone, or be off; upstream's setting forbids frames."""
    reported, off = seen["reported"], seen["off"]
    assert "Content-Security-Policy" not in reported
    assert reported["Content-Security-Policy-Report-Only"].endswith("; frame-ancestors 'none'")
    assert reported["X-Frame-Options"] == "DENY"
    assert not [name for name in off if name.startswith("Content-Security-Policy")]
    assert off["Cache-Control"] == "no-store"


def test_dag_links_say_what_they_do(seen: dict[str, Any]) -> None:
    """Refresh and delete are in attributes that page.js reads."""
    for name in ("index", "graph"):
        text = seen["pages"][name][2]
        links = re.findall(r"<a\b[^>]*data-service-(post-as-form|delete-dag=\"pair\")[^>]* nonce=", text)
        assert links == ["post-as-form", 'delete-dag="pair"']
        assert "onclick" not in text


def test_log_and_code_listen_for_clicks(seen: dict[str, Any]) -> None:
    """The scripts name the links that the page has."""
    for name, buttons in (("log", ["scroll-bottom", "toggle-wrap"]), ("code", ["toggle-wrap"])):
        text = seen["pages"][name][2]
        assert "onclick" not in text
        for button in buttons:
            listening = re.search(rf"\$\(['\"]#{button}['\"]\)\.click", text)
            assert listening is not None
            assert text.index(f'id="{button}"') < listening.start()


def test_bail_is_no_script(seen: dict[str, Any]) -> None:
    """The address that a caller gave stands in no script; confirming can be left, too."""
    text = seen["pages"]["trigger"][2]
    assert "onclick" not in text
    assert re.search(r'<a class="btn" href="[^"]*">bail', text)
    assert re.search(r'<button class="btn" data-service-history="-2" nonce="[^"]+">bail', seen["confirm"])


def test_charts_have_the_nonce(airflow_db: PatchedAirflow) -> None:
    """nvd3's scripts carry it, and a name that ends a script is written so that it does not."""
    found = ask(
        airflow_db,
        """
from airflow_service.page_headers import nonce
app = web()
from airflow.www import views
with app.test_request_context():
    made = {}
    for name in views.nvd3.__all__:
        chart = getattr(views.nvd3, name)(name="it's", height=100, width=100)
        chart.add_serie(name="</script><script>alert(1)//", y=[1, 2], x=["<!--", 2])
        chart.buildcontent()
        made[chart.model] = chart.htmlcontent
    answer([nonce(), made])
""",
    )
    nonce, charts = found
    assert len(charts) == 10
    for name, text in charts.items():
        assert text.startswith("<div id="), name
        assert re.findall(r"</?script[^>]*>", text) == [f'<script nonce="{nonce}">', "</script>"], name
        assert "\\u003c/script>" in text
        assert "<!--" not in text.partition("<script")[2]
        assert f"nv.models.{name}()" in text


def test_ace_marks_its_styles(airflow_db: PatchedAirflow) -> None:
    """The one place where Ace makes a style element gives it the page's nonce."""
    text = (airflow_db.tree / "airflow" / "www" / "static" / "ace.js").read_text("utf-8")
    made = text.count('doc.createElement("style")')
    assert made == len(re.findall(r'doc\.createElement\("style"\);\s+style\.nonce = \(doc\.', text)) == 1


def test_no_template_has_a_script_in_an_attribute(airflow: PatchedAirflow) -> None:
    """None of Airflow's and Flask-Admin's own, nor in the markup that their scripts write."""
    done = airflow.python(
        """
import json, pathlib, re
import airflow, flask_admin
from airflow_service.inline_handlers import left_handlers, move_handlers
from airflow_service.template_tags import start_tags
www = pathlib.Path(airflow.__file__).parent / "www"
admin = pathlib.Path(flask_admin.__file__).parent
templates = [*www.glob("templates/**/*.html"), *admin.glob("templates/bootstrap3/**/*.html")]
scripts = [*www.glob("static/*.js"), *admin.glob("static/admin/js/*.js")]
left = []
for path in templates:
    text = move_handlers(path.read_text("utf-8"))
    left += [f"{path}: {name}" for tag in start_tags(text) for name in left_handlers(tag)]
    left += [f"{path}: {url}" for url in re.findall(r"javascript:[^'\\"<]*", text) if url != "javascript:void(0)"]
for path in [*templates, *scripts, *www.glob("*.py")]:
    text = move_handlers(path.read_text("utf-8"))
    left += [f"{path}: {found}" for found in re.findall(r"<[a-z]+ [^<>]*\\bon[a-z]{3,}=", text)]
print(json.dumps([len(templates), len(scripts), left]))
"""
    )
    templates, scripts, left = json.loads(done.stdout.splitlines()[-1])
    assert templates > 50
    assert scripts > 20
    assert left == []
