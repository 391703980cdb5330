"""The pages under their Content-Security-Policy, in a real browser.

That no page breaks it is what every browser test checks: a refused script or style
is an error in the console. Here are the clicks that once were scripts in attributes,
and what the policy is for.
"""

from __future__ import annotations

import pytest
from harness.browsing import Watched
from playwright.sync_api import Dialog, Page, expect

pytestmark = [pytest.mark.slow]

RUN = "dag_id=everyday&execution_date=2024-01-01T00%3A00%3A00%2B00%3A00"


def answer_dialogs(page: Page, *answers: bool) -> list[str]:
    """Answer the page's questions in turn, the rest with no; returns the list that they come into."""
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        if answers[len(asked) - 1 : len(asked)] == (True,):
            dialog.accept()
        else:
            dialog.dismiss()

    page.on("dialog", answer)
    return asked


def make_variable(watched: Watched, key: str) -> None:
    page = watched.open("/admin/variable/new/")
    page.locator("#key").fill(key)
    page.locator("#val").fill("x")
    page.locator("input[type=submit]").first.click()
    watched.settle()


def test_injected_markup_is_dead(watched: Watched) -> None:
    """Neither a handler, nor a script, nor an element that asks page.js for something."""
    page = watched.open("/admin/pool/")
    page.evaluate(
        """document.body.insertAdjacentHTML("afterbegin",
            "<img id=seen alt=x src=data: onerror='window.ran = 1'>" +
            "<a id=bait href='/admin/pool/' data-service-inert>bait</a>");
           const script = document.createElement("script");
           script.text = "window.ran = 2";
           document.body.append(script);"""
    )
    page.locator("#bait").click()
    page.wait_for_load_state("load")
    assert page.evaluate("window.ran") is None
    refused = [fault for fault in watched.faults if "Content Security Policy" in fault]
    assert len(refused) >= 2
    assert page.locator("#bait").count() == 0  # page.js let the link be followed
    watched.faults.clear()


def test_deleting_a_row_asks(watched: Watched) -> None:
    """Flask-Admin's question before a deletion: no leaves the row, yes removes it."""
    make_variable(watched, "of_one_row")
    page = watched.page
    row = page.locator("tr", has_text="of_one_row")
    button = row.locator("button[title='Delete record']")
    asked = answer_dialogs(page, False, True)
    button.click()
    expect(row).to_be_visible()
    button.click()
    watched.settle()
    expect(row).to_have_count(0)
    assert asked == ["Are you sure you want to delete this record?"] * 2


def test_bulk_actions(watched: Watched) -> None:
    """Nothing selected is said; what is selected is deleted after a question."""
    make_variable(watched, "of_many")
    page = watched.page
    asked = answer_dialogs(page, True, True)
    page.locator("a.dropdown-toggle", has_text="With selected").click()
    page.locator(".dropdown-menu a", has_text="Delete").click()
    page.wait_for_timeout(200)
    assert asked == ["Please select at least one record."]
    row = page.locator("tr", has_text="of_many")
    row.locator("input.action-checkbox").check()
    page.locator("a.dropdown-toggle", has_text="With selected").click()
    page.locator(".dropdown-menu a", has_text="Delete").click()
    watched.settle()
    assert asked[1:] == ["Are you sure you want to delete selected records?"]
    expect(row).to_have_count(0)
    expect(page.locator(".alert-success")).to_contain_text("deleted")


def test_filters_and_tabs_of_a_list(watched: Watched) -> None:
    """A filter is added from its menu and applied; links that lead nowhere stay where they are."""
    page = watched.open("/admin/taskinstance/")
    page.locator("a", has_text="List (").first.click()
    page.locator("a.dropdown-toggle", has_text="Add Filter").click()
    page.locator("a.filter", has_text="Task Id").click()
    page.locator("#filter_form input.filter-val, #filter_form .field-filters input[type=text]").last.fill(
        "join"
    )
    page.locator("#filter_form button[type=submit]").click()
    watched.settle()
    expect(page.locator("table.model-list td", has_text="join").first).to_be_visible()
    expect(page.locator("table.model-list td", has_text="left_out")).to_have_count(0)


def test_dag_links(watched: Watched) -> None:
    """Refresh posts a form; delete asks first, on the index and on a DAG's page."""
    page = watched.open(f"/admin/airflow/graph?{RUN}")
    asked = answer_dialogs(page)
    page.locator("[data-service-delete-dag]").click()
    page.locator("a[title=Refresh]").click()
    watched.settle()
    expect(page.locator(".alert-info")).to_contain_text("is now fresh")
    watched.open("/admin/?search=everyday")
    page.locator("[data-service-delete-dag=everyday]").click()
    assert len(asked) == 2
    assert all("delete 'everyday'" in question for question in asked)


def test_wrapping_and_jumping(watched: Watched) -> None:
    """The buttons of the log and of the code."""
    page = watched.open(f"/admin/airflow/log?{RUN}&task_id=python")
    page.locator("#toggle-wrap").click()
    expect(page.locator("pre code.wrap").first).to_be_attached()
    page.locator("#scroll-bottom").click()
    watched.open("/admin/airflow/code?dag_id=everyday")
    page.locator("#toggle-wrap").click()
    expect(page.locator(".code pre.wrap")).to_be_visible()


def test_bailing_out(watched: Watched) -> None:
    """From the trigger page to where one came from; from a confirmation two pages back."""
    page = watched.open("/admin/airflow/trigger?dag_id=everyday&origin=/admin/pool/")
    page.locator("a", has_text="bail.").click()
    watched.settle()
    assert page.url.endswith("/admin/pool/")
    watched.open(f"/admin/airflow/graph?{RUN}")
    page.locator("svg g.node", has_text="python").first.click()
    page.locator("#btn_clear").click()
    watched.settle()
    expect(page.locator("text=Wait a minute")).to_be_visible()
    page.locator("button", has_text="bail.").click()
    watched.settle()
    assert page.url.endswith("/admin/pool/")


@pytest.mark.parametrize(
    ("button", "sign"),
    [
        ("task", "python_callable"),
        ("rendered", "Rendered Template"),
        ("ti", "table.model-list"),
        ("success", "Wait a minute"),
    ],
)
def test_buttons_of_the_task_dialog(watched: Watched, button: str, sign: str) -> None:
    """Each leads to its page."""
    page = watched.open(f"/admin/airflow/graph?{RUN}")
    page.locator("svg g.node", has_text="python").first.click()
    page.locator(f"#btn_{button}").click()
    watched.settle()
    found = page.locator(sign) if sign.startswith("table") else page.get_by_text(sign)
    expect(found.first).to_be_visible()


def test_run_dialog_of_the_tree(watched: Watched) -> None:
    """A click on a run of the tree opens its dialog, with tooltips on the way."""
    page = watched.open("/admin/airflow/tree?dag_id=everyday")
    page.locator("svg rect.state").first.hover()
    page.locator("svg rect.state").first.click()
    expect(page.locator("#dagModal")).to_be_visible()


def test_views_of_a_plugin(watched: Watched) -> None:
    """What Flask-Admin does for a plugin's view: rows edited in place, lines added to a form."""
    page = watched.open("/admin/team/")
    page.locator("td a[data-role^='x-editable']", has_text="first team").click()
    page.locator(".editable-input input").fill("renamed")
    with page.expect_response(lambda answer: "/ajax/update/" in answer.url) as saved:
        page.locator(".editable-submit").click()
    assert saved.value.ok
    watched.settle()
    page = watched.open("/admin/team/new/")
    page.locator("a", has_text="Add Member").click()
    page.locator("a", has_text="Add Member").click()
    expect(page.locator(".inline-field-list > .inline-field")).to_have_count(2)


def test_chart_of_a_query(watched: Watched) -> None:
    """A chart is made in Ace's editor, and drawn; a series that would end the script is a name."""
    page = watched.open("/admin/chart/new/")
    page.locator("#label").fill("policy")
    page.locator("#conn_id").select_option("own", force=True)
    page.locator("#x_is_date").uncheck()
    page.locator(".ace_text-input").first.press("Control+a")
    page.locator(".ace_text-input").first.fill(
        "SELECT 'a</script><script>window.ran=1</script>' AS s, 1 AS x, 2 AS y UNION SELECT 'b', 2, 3"
    )
    page.locator("input[type=submit]").first.click()
    watched.settle()
    page.locator("a", has_text="policy").first.click()
    watched.settle()
    expect(page.locator("#chart_body svg .nv-lineChart, #chart_body svg .nvd3").first).to_be_visible()
    assert page.evaluate("window.ran") is None
