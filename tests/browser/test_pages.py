"""Every page of the UI, in a real browser: it is there, whole, and nothing on it fails."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from harness.browsing import Watched
from harness.site import Site
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow]

RUN = "dag_id=everyday&execution_date=2024-01-01T00%3A00%3A00%2B00%3A00"
TASK = f"{RUN}&task_id=python"

# The page's name, its address, and a text or element that only the working page shows.
DAG_PAGES = [
    ("graph", f"/admin/airflow/graph?{RUN}", "svg g.node >> nth=5"),
    ("tree", "/admin/airflow/tree?dag_id=everyday", "svg rect.state >> nth=5"),
    ("duration", "/admin/airflow/duration?dag_id=everyday&days=9999", "svg .nv-lineChart"),
    ("tries", "/admin/airflow/tries?dag_id=everyday&days=9999", "svg .nv-lineChart"),
    ("landing-times", "/admin/airflow/landing_times?dag_id=everyday&days=9999", "svg .nv-lineChart"),
    ("gantt", f"/admin/airflow/gantt?{RUN}", "svg .gantt-chart rect >> nth=1"),
    ("details", "/admin/airflow/dag_details?dag_id=everyday", "text=schedule_interval"),
    ("code", "/admin/airflow/code?dag_id=everyday", "text=BranchPythonOperator"),
    ("trigger", "/admin/airflow/trigger?dag_id=everyday", "textarea[name=conf]"),
    ("task", f"/admin/airflow/task?{TASK}", "text=python_callable"),
    ("rendered", f"/admin/airflow/rendered?{RUN}&task_id=join", "text=echo run"),
    ("log", f"/admin/airflow/log?{TASK}", "text=the shell said 21"),
    ("xcom", f"/admin/airflow/xcom?{TASK}", "text=doubled"),
]
SITE_PAGES = [
    ("index", "/admin/", "text=example_bash_operator"),
    ("dagruns", "/admin/dagrun/", "text=backfill_2024-01-01"),
    ("jobs", "/admin/basejob/", "text=BackfillJob"),
    ("logs", "/admin/log/", "text=everyday"),
    ("slamisses", "/admin/slamiss/", "text=There are no items in the table"),
    ("taskinstances", "/admin/taskinstance/", "text=left_out"),
    ("pools", "/admin/pool/", "text=default_pool"),
    ("connections", "/admin/connection/", "text=airflow_db"),
    ("variables", "/admin/variable/", "text=colour"),
    ("xcoms", "/admin/basexcom/", "text=return_value"),
    ("users", "/admin/user/", "text=There are no items in the table"),
    ("configuration", "/admin/configurationview/", "text=sql_alchemy_conn"),
    ("version", "/admin/versionview/", "text=1.10.15+svc.1"),
    ("query", "/admin/queryview/", ".ace_editor"),
    ("charts", "/admin/chart/", "text=Airflow task instance by type"),
    ("known-events", "/admin/knownevent/", "text=There are no items in the table"),
]


@pytest.mark.parametrize(("name", "path", "sign"), DAG_PAGES, ids=[page[0] for page in DAG_PAGES])
def test_page_of_a_dag(watched: Watched, name: str, path: str, sign: str) -> None:
    """The page shows what it is for."""
    page = watched.open(path)
    expect(page.locator(sign).first).to_be_visible()
    expect(page.locator(".navbar").first).to_be_visible()
    watched.shot(f"dag-{name}")


@pytest.mark.parametrize(("name", "path", "sign"), SITE_PAGES, ids=[page[0] for page in SITE_PAGES])
def test_page_of_the_site(watched: Watched, name: str, path: str, sign: str) -> None:
    """The page shows what it is for."""
    page = watched.open(path)
    expect(page.locator(sign).first).to_be_visible()
    expect(page.locator(".navbar").first).to_be_visible()
    watched.shot(name)


def test_menu_leads_to_every_page(watched: Watched) -> None:
    """Each entry of the menu that stays on the site answers."""
    page = watched.open("/admin/")
    links = page.locator(".navbar a[href]").evaluate_all("links => links.map(link => link.href)")
    paths = {link.partition(watched.host)[2] for link in links if watched.host in link}
    paths = {path for path in paths if path and not path.endswith("#")}
    assert {"/admin/pool/", "/admin/queryview/", "/admin/versionview/"} <= paths
    for path in sorted(paths):
        watched.open(path)


def test_index_is_filled_by_scripts(watched: Watched) -> None:
    """The circles of recent tasks and runs, which scripts draw, are there, and one clock; a search finds."""
    page = watched.open("/admin/?search=everyday")
    expect(page.locator("svg#task-run-everyday, svg#dag-run-everyday").first).to_be_visible()
    expect(page.locator("svg circle").first).to_be_visible()
    expect(page.locator(r"text=/\d\d:\d\d:\d\d UTC/")).to_have_count(1)
    expect(page.locator("text=example_bash_operator")).to_have_count(0)


# Where each cell of links is, and its icons; and which cells are not laid out.
CELLS = """() => [...document.querySelectorAll("#dags tbody td:last-child")].map(cell =>
    [cell, ...cell.children].map(element => {
        const {x, y, width, height} = element.getBoundingClientRect();
        return [x, y, width, height];
    }))"""
LEFT_OUT = """() => [...document.querySelectorAll("#dags tbody td:last-child")].map(cell =>
    !cell.firstElementChild.checkVisibility({contentVisibilityAuto: true}))"""


def test_links_out_of_sight_are_not_laid_out(watched: Watched) -> None:
    """They take the same room all the same, so that nothing moves when they come into sight."""
    # What is a screen away counts as in sight.
    watched.page.set_viewport_size({"width": 1400, "height": 200})
    page = watched.open("/admin/")
    left_out = page.evaluate(LEFT_OUT)
    assert not left_out[0]
    assert left_out[-1]
    saved = page.evaluate(CELLS)
    page.evaluate(
        'document.querySelectorAll("#dags tbody td:last-child").forEach(cell =>'
        ' { cell.style.contentVisibility = "visible"; })'
    )
    assert not any(page.evaluate(LEFT_OUT))
    moved = [
        (before, after)
        for cells, plain in zip(saved, page.evaluate(CELLS), strict=True)
        for before, after in zip(cells, plain, strict=True)
        if any(abs(a - b) > 0.6 for a, b in zip(before, after, strict=True))
    ]
    assert moved == []


def test_task_dialog(watched: Watched) -> None:
    """A click on a task of the graph opens its dialog, whose links lead to its pages."""
    page = watched.open(f"/admin/airflow/graph?{RUN}")
    page.locator("svg g.node", has_text="python").first.click()
    expect(page.locator("#myModal")).to_be_visible()
    expect(page.locator("#myModal")).to_contain_text("python")
    watched.shot("task-dialog")
    page.locator("#btn_log").click()
    watched.settle()
    expect(page.locator("text=the shell said 21").first).to_be_visible()


def set_state(site: Site, state: str, end_date: str | None) -> None:
    """Say of the task above that it is in this state."""
    with closing(sqlite3.connect(site.home / "airflow.db", timeout=30)) as database:
        database.execute(
            "UPDATE task_instance SET state = ?, end_date = ? WHERE dag_id = 'everyday' AND task_id = 'python'",
            [state, end_date],
        )
        database.commit()


def test_log_of_a_running_task(watched: Watched, site: Site, tmp_path: Path) -> None:
    """Its end is there first; it grows, until the task ends; what was before comes on demand, and all as a file."""
    file = site.home / "logs" / "everyday" / "python" / "2024-01-01T00:00:00+00:00" / "1.log"
    before = file.read_bytes()
    text = "".join(f"line {number} <b>grün</b>\n" for number in range(9000))
    try:
        file.write_text(text, encoding="utf-8")
        set_state(site, "running", None)
        page = watched.open(f"/admin/airflow/log?{TASK}")
        shown = page.locator("#try-1")
        expect(shown).to_contain_text("line 8999 <b>grün</b>\n")
        expect(shown).not_to_contain_text("line 1 <b>")
        with file.open("a", encoding="utf-8") as more:
            more.write("line 9000, and it goes on")
        expect(shown).to_contain_text("line 9000, and it goes on")
        earlier = page.locator("[data-log-earlier]")
        while earlier.is_visible():
            earlier.click()
            expect(earlier).to_be_enabled()
        assert shown.evaluate("element => element.textContent") == text + "line 9000, and it goes on"
        watched.shot("dag-log-earlier")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download", exact=True).click()
        download.value.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").read_text("utf-8") == text + "line 9000, and it goes on"
        assert download.value.suggested_filename.endswith("1.log")
        set_state(site, "success", "2024-01-02 00:00:00.000000")
        expect(page.locator("[data-state=over]")).to_have_count(1)
        expect(page.locator(".log-spinner")).to_be_hidden()
        # A line of several pages, and a log that is neither here nor at a worker that does not answer.
        notes = page.locator("[data-log-notes]")
        file.write_text("€" * 70_000, encoding="utf-8")
        watched.open(f"/admin/airflow/log?{TASK}")
        expect(notes).to_contain_text("It begins within a line that is longer than a page: ")
        earlier.click()
        expect(notes).not_to_contain_text("within a line")
        assert shown.evaluate("element => element.textContent") == "€" * 70_000
        file.unlink()
        watched.open(f"/admin/airflow/log?{TASK}")
        expect(notes).to_contain_text("not found so far; it is asked for again. It was looked for in:\nfile ")
        expect(notes).to_contain_text("1.log of this machine: there is no such file\nthe worker's log server, http://")
    finally:
        file.write_bytes(before)
        set_state(site, "success", "2024-01-02 00:00:00.000000")


def test_triggering(watched: Watched) -> None:
    """A DAG is triggered from its page, and the list of runs shows that."""
    page = watched.open("/admin/airflow/trigger?dag_id=example_xcom")
    page.locator("textarea[name=conf]").fill('{"from": "browser"}')
    page.locator("input[type=submit], button[type=submit]").first.click()
    watched.settle()
    expect(page.locator("text=Triggered example_xcom").first).to_be_visible()
    watched.open("/admin/dagrun/")
    expect(page.locator("text=example_xcom").first).to_be_visible()


def test_pausing(watched: Watched, ui: str) -> None:
    """The switch of the index pauses a DAG."""
    page = watched.open("/admin/?search=example_skip_dag")
    with page.expect_response(re.compile("/paused")) as answer:
        page.locator(".toggle").first.click()
    assert answer.value.ok
    watched.settle()


def test_ad_hoc_query(watched: Watched) -> None:
    """A query is run on a connection, and its rows are shown."""
    page = watched.open("/admin/queryview/")
    page.locator("select[name=conn_id]").select_option("own")
    page.locator(".ace_text-input").first.fill(
        "SELECT dag_id, 6 * 7 AS answer FROM dag WHERE dag_id = 'everyday'"
    )
    page.locator("input[type=submit], button[type=submit]").first.click()
    watched.settle()
    expect(page.locator("table td", has_text="42").first).to_be_visible()
    watched.shot("query-run")


@pytest.mark.parametrize(
    ("name", "path", "fields"),
    [
        ("pool", "/admin/pool/new/", {"pool": "browsers", "slots": "2", "description": "made by a browser"}),
        ("variable", "/admin/variable/new/", {"key": "browser", "val": "chromium"}),
        ("connection", "/admin/connection/new/", {"conn_id": "by_browser", "host": "there", "port": "5432"}),
    ],
)
def test_making_and_changing(watched: Watched, name: str, path: str, fields: dict[str, str]) -> None:
    """An entry is made by its form, is in the list, and its form opens again with what was saved."""
    page = watched.open(path)
    for field, value in fields.items():
        page.locator(f"#{field}").fill(value)
    watched.shot(f"{name}-new")
    page.locator("input[type=submit]").first.click()
    watched.settle()
    first = next(iter(fields.values()))
    row = page.locator("tr", has_text=first).first
    expect(row).to_be_visible()
    row.locator("a[href*='/edit/']").first.click()
    watched.settle()
    for field, value in fields.items():
        expect(page.locator(f"#{field}")).to_have_value(value)
    watched.shot(f"{name}-edit")


def test_forms_of_the_rest_open(watched: Watched) -> None:
    """The forms of what is not made above open."""
    for path in ("/admin/chart/new/", "/admin/knownevent/new/", "/admin/user/new/", "/admin/dagrun/new/"):
        page = watched.open(path)
        expect(page.locator("input[type=submit]").first).to_be_visible()


def test_page_that_is_not_there(watched: Watched) -> None:
    """An unknown address gives the 404 page, whole."""
    page = watched.open("/admin/nowhere/", status=404)
    expect(page.locator("text=404").first).to_be_visible()
    watched.shot("404")
