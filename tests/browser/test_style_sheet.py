"""The one style sheet of all pages shows them as its parts do."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from harness.browsing import Watched
from harness.made import MADE, ROOT

pytestmark = [pytest.mark.slow]

# Reads what is shown of every element, with all menus open; puts the parts in the place of the one sheet, in
# their order; reads again, and returns what differs.
_COMPARE = """
async names => {
  function looks() {
    const found = [];
    for (const element of document.querySelectorAll('body, body *')) {
      for (const part of [null, '::before', '::after']) {
        const style = getComputedStyle(element, part);
        if (part === null || style.content !== 'none') {
          const name = element.tagName + '.' + element.getAttribute('class') + (part || '') + ' ';
          for (const property of style) found.push(name + property + ': ' + style.getPropertyValue(property));
        }
      }
    }
    return found;
  }
  const still = new CSSStyleSheet();
  still.replaceSync('*, *::before, *::after { transition: none !important; animation: none !important }');
  document.adoptedStyleSheets = [still];
  document.querySelectorAll('.dropdown').forEach(menu => menu.classList.add('open'));
  const before = looks();
  const sheet = document.querySelector('link[href*="/pages."]');
  const folder = sheet.href.slice(0, sheet.href.lastIndexOf('/') + 1);
  const link = name => Object.assign(document.createElement('link'), {rel: 'stylesheet', href: folder + name});
  const parts = names.map(link);
  const loaded = parts.map(part => new Promise((done, failed) => { part.onload = done; part.onerror = failed; }));
  sheet.before(...parts);
  await Promise.all(loaded);
  sheet.remove();
  const after = looks();
  await document.fonts.ready;
  return [before.length, after.length, before.filter((text, place) => text !== after[place])];
}
"""


@pytest.mark.parametrize("path", ["/admin/", "/admin/connection/new/"])
def test_pages_look_as_with_the_parts(watched: Watched, installed: Path, path: str) -> None:
    """Every property of every element is the same."""
    rules = tomllib.loads((ROOT / "assets" / "1.10" / "rules.toml").read_text("utf-8"))
    (merge,) = (merge for merge in rules["merge"] if merge["name"] == "service/pages.css")
    (manifest,) = installed.parent.parent.glob(
        "lib/python*/site-packages/airflow_service/static/manifest.json"
    )
    assets = json.loads(manifest.read_text("utf-8"))["assets"]
    page = watched.open(path)
    before, after, different = page.evaluate(_COMPARE, [assets[name]["name"] for name in merge["files"]])
    assert before == after > 10_000
    assert different == []


# The size of a DAG's switch, the colours and the letters of its text and of its handle.
_SWITCH = """
([switch_, text, handle]) => {
  const box = document.querySelector(switch_).getBoundingClientRect();
  const style = (selector, part) => getComputedStyle(document.querySelector(selector), part);
  const [said, held] = [style(...text), style(...handle)];
  return [Math.floor(box.width), box.height, said.color, said.fontSize, held.backgroundColor]
    .concat(style(text[0]).backgroundColor);
}
"""
_OF_THE_LIST = ("input.toggle", ("input.toggle", "::before"), ("input.toggle", "::after"))


@pytest.mark.parametrize("state", ["on", "off"])
def test_a_switch_of_the_list_looks_as_on_the_dags_page(watched: Watched, state: str) -> None:
    """The list draws its own, since the script that draws the other would do so a thousand times."""
    of_a_page = (".toggle.btn", (f".toggle-{state}", None), (".toggle-handle", None))
    page = watched.open("/admin/airflow/tree?dag_id=example_bash_operator")
    page.evaluate("state => $('#pause_resume').bootstrapToggle(state, true)", state)
    there = page.evaluate(_SWITCH, of_a_page)
    page.locator(".toggle.btn").screenshot(path=MADE / "screenshots" / f"switch-{state}-of-a-page.png")
    page = watched.open("/admin/?search=example_bash_operator")
    page.evaluate("on => document.querySelector('input.toggle').checked = on", state == "on")
    page.locator("input.toggle").screenshot(path=MADE / "screenshots" / f"switch-{state}-of-the-list.png")
    assert page.evaluate(_SWITCH, _OF_THE_LIST) == there
