"""The way in and out as people walk it: by the gateway's pages, in a browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from harness.browsing import Watched


def log_in(watched: Watched, path: str, user: str, password: str) -> Page:
    """Ask for a page, be led to the login, and back."""
    page = watched.open(path)
    expect(page.locator("h1")).to_have_text("Log in")
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    watched.settle()
    assert page.url == f"http://{watched.host}{path}"
    return page


def log_out(watched: Watched, prefix: str) -> None:
    """By the button of Airflow's own pages."""
    page = watched.open(f"{prefix}/admin/")
    page.locator("nav a[href$='/admin/airflow/logout']").click()
    watched.settle()
    page.get_by_role("button", name="Log out").click()
    watched.settle()
    expect(page.locator("h1")).to_have_text("Log in")


def menus(page: Page) -> list[str]:
    """The names in the navigation."""
    return [name.strip() for name in page.locator("nav .navbar-nav > li > a").all_inner_texts()]
