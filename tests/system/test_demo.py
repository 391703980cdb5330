"""`make demo`: the distribution of dist/ runs a DAG, behind nginx, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from harness import walk
from harness.browsing import Watched
from harness.environments import BASE_PYTHON, build
from harness.gateway import Visitor
from harness.made import MADE, ROOT
from harness.processes import Running, running, wait_for
from harness.servers import program
from playwright.sync_api import Browser, Locator, expect

pytestmark = [pytest.mark.slow]

DEMO = [BASE_PYTHON, "-m", "builder.bootstrap", "build", "-m", "demo", "--port", "0"]
QUERY = "dag_id=query_elsewhere&execution_date=2026-01-01T00:00:00%2B00:00"
READY = "Ctrl-C stops everything."


def seen_below(demo: Running, seen: set[int]) -> bool:
    """Note who is below the demo; whether it has ended."""
    seen.update(demo.descendants())
    return demo.process.poll() is not None


def living(pids: set[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


# All but its end is what test_until_it_is_interrupted starts.
@pytest.mark.thorough
def test_once(dist: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """With --once it ends by itself: exit code 0 after the DAG's success."""
    seen: set[int] = set()
    with running([*DEMO, "--once"], tmp_path / "demo.log", environment, ROOT) as demo:
        wait_for("the end of the demo", lambda: seen_below(demo, seen), 400)
        assert demo.process.returncode == 0, demo.output
        assert READY in demo.output
        assert seen
        assert living(seen) == []


def walk_through(browser: Browser, output: str) -> None:
    """In a browser, as administrator and as user: what each sees and opens, and that log-out ends it."""
    [(host, prefix, page)] = re.findall(r"^http://([^/]+)(/airflow-demo)(/\S*)", output, re.M)
    [cdn] = re.findall(r"with the assets of http://(\S+)", output)
    passwords = dict(re.findall(r"^  (admin|user|viewer) +(\S+)$", output, re.M))
    hidden = {"Admin", "Data Profiling"}
    for user in passwords:
        context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
        watched = Watched(context.new_page(), host, MADE / "screenshots", others=(cdn,))
        opened = walk.log_in(watched, f"{prefix}{page}", user, passwords[user])
        assert hidden & set(walk.menus(opened)) == (hidden if user == "admin" else set())
        watched.shot(f"demo-{user}")
        watched.open(f"{prefix}/admin/connection/", 200 if user == "admin" else 403)
        watched.shot(f"demo-{user}-connections")
        watched.open("/gateway/")
        watched.shot(f"demo-{user}-clusters")
        copied = context.cookies()
        walk.log_out(watched, prefix)
        watched.shot("demo-login")
        # What the browser had before opens nothing any more.
        context.add_cookies([{**one, "url": None} for one in copied])  # type: ignore[arg-type, list-item]
        expect(watched.open(f"{prefix}{page}").locator("h1")).to_have_text("Log in")
        context.close()
        watched.check()


def look_at(output: str) -> None:
    """The address that the demo prints, who may open it, and all that its page asks for."""
    [url] = re.findall(r"^http://\S+", output, re.M)
    [cdn] = re.findall(r"with the assets of (http://\S+)", output)
    assert "/airflow-demo/admin/" in url
    origin, prefix, path = url.partition("/airflow-demo")
    admin, user, nobody = (Visitor(origin, "/gateway") for _ in range(3))
    assert (
        nobody.get(prefix + path, Accept="text/html").headers["Location"].startswith("/gateway/login?next=")
    )
    for visitor, name in ((admin, "admin"), (user, "user")):
        [password] = re.findall(rf"^  {name} +(\S+)$", output, re.M)
        assert visitor.login(name, password, prefix + path).headers["Location"] == prefix + path
    assert admin.get("/airflow-demo/admin/connection/").status_code == 200
    assert user.get("/airflow-demo/admin/connection/").status_code == 403
    page = user.get(prefix + path)
    assert page.ok
    assert page.headers["Content-Encoding"] == "gzip"
    assert page.headers["Cache-Control"] == "no-store"
    assert cdn in page.headers["Content-Security-Policy"]
    # One that runs nothing but the talking task would not be heard of for half a minute.
    assert "does not appear to be running" not in page.text
    assets = re.findall(r"<(?:script|link)\b[^>]*?(?:src|href)=[\"']([^\"']+)", page.text)
    assert len(assets) > 10
    assert [asset for asset in assets if not asset.startswith(f"{cdn}/a/")] == []
    links = re.findall(r"<a\b[^>]*?href=\"(/[^\"]*)", page.text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith("/airflow-demo/")] == []
    look_at_platform(user, prefix, output)
    # Bytes, types, lifetimes, compression and the right to be used by other origins.
    build("verify", cdn)


def look_at_platform(user: Visitor, prefix: str, output: str) -> None:
    """The task that ran a query elsewhere leads to it."""
    [platform] = re.findall(r"stand-in for Qubole at (\S+)", output)
    answer = user.get(f"{prefix}/admin/airflow/goto_qds?{QUERY}&task_id=count_rows", Accept="text/html")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{platform}/v2/analyze?command_id=")
    shown = requests.get(answer.headers["Location"], timeout=10)
    assert "<p id=status>done</p>" in shown.text
    assert user.get(f"{prefix}/admin/airflow/goto_qds?{QUERY}&task_id=report").status_code == 404


@contextmanager
def as_user(browser: Browser, output: str) -> Iterator[Watched]:
    """A page of somebody who has logged in as user; at the end, nothing was wrong on it."""
    [url] = re.findall(r"^(http://\S+)/admin/", output, re.M)
    [cdn] = re.findall(r"with the assets of http://(\S+)", output)
    [password] = re.findall(r"^  user +(\S+)$", output, re.M)
    origin, prefix, _ = url.partition("/airflow-demo")
    user = Visitor(origin, "/gateway")
    user.login("user", password, prefix)
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    for cookie in user.session.cookies:
        context.add_cookies([{"name": cookie.name, "value": cookie.value or "", "url": origin}])
    watched = Watched(context.new_page(), origin.removeprefix("http://"), MADE / "screenshots", others=(cdn,))
    yield watched
    watched.check()
    context.close()


def watch_log(browser: Browser, output: str) -> None:
    """The running task's lines come from S3, for the webserver has no file of them; each within ten seconds."""
    [path] = re.findall(r"^  http://[^/]+(/airflow-demo/admin/airflow/log\?\S+)", output, re.M)
    with as_user(browser, output) as watched:
        page = watched.open(path)
        notes, text = page.locator("[data-log-notes]"), page.locator("#logs code")
        expect(notes).to_have_text(re.compile(r"^This is s3://demo-logs/airflow/talk_for_a_while/talk/2026-01-01"))
        expect(text).to_contain_text("line 1, written at")
        before = text.inner_text()
        expect(text).not_to_have_text(before, timeout=20_000)
        now = datetime.now(UTC)
        # The oldest of the lines that have come.
        [written, *_] = re.findall(r"line \d+, written at (\S+) UTC", text.inner_text()[len(before) :])
        age = (now - datetime.combine(now, datetime.strptime(written, "%H:%M:%S").time(), UTC)) % timedelta(days=1)
        # Ten seconds to S3; the page asks every two seconds, and the machine may be busy.
        assert age < timedelta(seconds=10 + 2 + 3), age
        expect(page.locator("[data-state=following]")).to_have_count(1)
        watched.shot("demo-log-of-a-running-task")


def press_buttons(browser: Browser, output: str) -> None:
    """Each button opens the command's page in a new tab; a task without a command has none."""
    [platform] = re.findall(r"stand-in for Qubole at (\S+)", output)
    with as_user(browser, output) as watched:
        press_buttons_of(watched, platform)


def press_buttons_of(watched: Watched, platform: str) -> None:
    """Those in the dialogs of the graph and the tree, and on a task's page."""

    def press(button: Locator) -> None:
        with watched.page.context.expect_page() as opened:
            button.click()
        opened.value.wait_for_load_state()
        assert opened.value.url.startswith(f"{platform}/v2/analyze?command_id=")
        assert opened.value.evaluate("window.opener") is None
        expect(opened.value.locator("h1")).to_contain_text("Command 43")
        opened.value.close()

    dialog, button = watched.page.locator("#myModal"), watched.page.locator("#btn_goto")
    for view, tasks in (("graph", "svg g.node"), ("tree", "svg rect.state")):
        watched.open(f"/airflow-demo/admin/airflow/{view}?{QUERY}")
        pressed = set()
        for place in range(watched.page.locator(tasks).count()):
            watched.page.locator(tasks).nth(place).click(force=True)
            # The tree's first row is of the runs, which have a dialog of their own.
            shown = watched.page.locator(".modal.in")
            expect(shown).to_be_visible()
            if shown.get_attribute("id") == "myModal":
                task = dialog.locator("#task_id").inner_text()
                pressed.add(task)
                if task == "count_rows":
                    expect(button).to_have_text("Goto QDS")
                    press(button)
                else:
                    expect(button).to_be_hidden()
            shown.locator("[data-dismiss=modal]").first.click()
            expect(watched.page.locator(".modal-backdrop")).to_have_count(0)
        assert pressed == {"count_rows", "report"}
    watched.open(f"/airflow-demo/admin/airflow/rendered?{QUERY}&task_id=count_rows")
    press(watched.page.get_by_role("link", name="Goto QDS"))


def test_until_it_is_interrupted(
    dist: Path, tmp_path: Path, environment: dict[str, str], browser: Browser
) -> None:
    """Its page comes through nginx, its assets from the CDN's port; Ctrl-C stops everything, exit code 0."""
    program("nginx")
    with running(DEMO, tmp_path / "demo.log", environment, ROOT) as demo:
        wait_for("the demo to be up", lambda: READY in demo.output, 400, demo)
        seen = set(demo.descendants())
        assert len(seen) > 2
        watch_log(browser, demo.output)
        look_at(demo.output)
        press_buttons(browser, demo.output)
        walk_through(browser, demo.output)
        demo.process.send_signal(signal.SIGINT)
        wait_for("the end of the demo", lambda: seen_below(demo, seen), 90)
        assert demo.process.returncode == 0, demo.output
        assert demo.output.endswith("\nstopped\n")
        assert living(seen) == []
