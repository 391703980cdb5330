"""Whether the static files that templates and stylesheets ask for are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_process import PatchedAirflow

# A comment of Jinja's may name what it explains; it asks for nothing.
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_OURS = re.compile(r"""url_for\(\s*['"]static['"],\s*filename=['"]([^'"]+)['"]""")
_FLASK_ADMINS = re.compile(
    r"""(?:admin_static\.url\(\s*|url_for\(\s*['"]admin\.static['"],\s*)filename=['"]([^'"]+)['"]"""
)
_BY_HAND = re.compile(r"""<(?:script|link|img)\b[^>]*?\b(?:src|href)=['"]?((?:https?:)?/[^'">\s]*)""")


@pytest.fixture(scope="module")
def flask_admin_static(airflow_interpreter: Path) -> Path:
    """Flask-Admin's static files, as the interpreter of the tree has them."""
    [package] = airflow_interpreter.parent.parent.glob("lib/python3*/site-packages/flask_admin/static")
    return package


def _templates(tree: Path) -> Iterator[tuple[str, str]]:
    root = tree / "airflow" / "www" / "templates"
    for path in sorted(root.rglob("*.html")):
        yield str(path.relative_to(root)), _COMMENT.sub("", path.read_text(encoding="utf-8"))


def test_templates_name_assets_that_exist(airflow_tree: Path, flask_admin_static: Path) -> None:
    """Ours, Flask-Admin's; and none by an address that is written by hand or another site's."""
    static = airflow_tree / "airflow" / "www" / "static"
    missing = []
    for template, text in _templates(airflow_tree):
        missing += [(template, name) for name in _OURS.findall(text) if not (static / name).is_file()]
        missing += [
            (template, name)
            for name in _FLASK_ADMINS.findall(text)
            if not (flask_admin_static / name).is_file()
        ]
        missing += [(template, url) for url in _BY_HAND.findall(text)]
    assert missing == []


def test_stylesheets_name_files_that_exist(airflow_tree: Path) -> None:
    """A `url(…)` in a stylesheet of ours leads to a file, counted from the stylesheet."""
    static = airflow_tree / "airflow" / "www" / "static"
    missing = []
    for sheet in sorted(static.rglob("*.css")):
        for target in re.findall(r"""url\(\s*['"]?([^'")]+)""", sheet.read_text(encoding="utf-8")):
            path = target.split("?")[0].split("#")[0]
            if path and not target.startswith("data:") and not (sheet.parent / path).is_file():
                missing.append((sheet.name, target))
    assert missing == []


def test_templates_can_be_parsed(airflow: PatchedAirflow) -> None:
    """Jinja2 3.1 reads every template that is shipped."""
    airflow.python(
        """
import pathlib, airflow, jinja2
root = pathlib.Path(airflow.__file__).parent / "www" / "templates"
for path in root.rglob("*.html"):
    jinja2.Environment(extensions=["jinja2.ext.do"]).parse(path.read_text(encoding="utf-8"), filename=str(path))
"""
    )
