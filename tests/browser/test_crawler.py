"""The crawler itself, on a small made-up site: it finds each thing that is broken, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from harness.crawl import Crawl, route
from harness.processes import free_port
from harness.traffic import Bounds
from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow]

_DIALOG = """
<div class="modal">
  <form method="post"><button type="button" id="inside" data-action="/p/inside">In</button></form>
</div>
<svg width="10" height="10"><rect class="opener" width="10" height="10"></rect></svg>
<style>.modal { display: none } .modal.in { display: block }</style>
<script>
const dialog = document.querySelector(".modal");
document.querySelector("rect").addEventListener("click", () => dialog.classList.add("in"));
document.querySelector("#inside").addEventListener("click", (event) => {
  event.target.form.action = event.target.dataset.action; event.target.form.submit(); });
</script>
"""
# Without an icon the browser would ask the host's root for one.
_HEAD = "<!doctype html><link rel=icon href='data:,'>"
# A page's path, its body, and what is to be said of it; `{other}` is the origin of another host.
BROKEN = [
    ("dead-link", "<a href='/p/nowhere'>x</a>", "404: GET {origin}/p/nowhere"),
    ("outside", "<a href='/q/'>x</a>", "<a href> outside the prefix: {origin}/q/"),
    ("lookalike", "<a href='/pq/'>x</a>", "<a href> outside the prefix: {origin}/pq/"),
    ("form-outside", "<form action='/q/'></form>", "<form action> outside the prefix: {origin}/q/"),
    ("foreign-link", "<a href='{other}/x'>x</a>", "<a href> foreign host: {other}/x"),
    ("foreign-script", "<script src='{other}/x.js'></script>", "foreign host: {other}/x.js"),
    ("xhr", "<script>fetch('/p/nowhere/data')</script>", "404: GET {origin}/p/nowhere/data"),
    ("xhr-outside", "<script>fetch('/q/data')</script>", "outside the prefix: {origin}/q/data"),
    ("throws", "<script>nothing_of_that_name()</script>", "error in a script"),
    ("warns", "<script>console.warn('oh')</script>", "console warning: oh"),
    ("policy", "<div onclick='1'>x</div>", "Content Security Policy"),
    ("image", "<img src='/p/nowhere.png'>", "404: GET {origin}/p/nowhere.png"),
    ("blind", "<img width=9 height=9 src='/p/'>", "picture that shows nothing: {origin}/p/"),
    ("tells", "<p class='alert alert-danger'>no such table</p>", "message: no such table"),
    ("in-script", "<script>later = '/admin/graph'</script>", "path without the prefix in the page: /admin/graph"),
    ("return", "<input name='origin' value='/admin/'>", "<input origin> outside the prefix: {origin}/admin/"),
    ("redirect", "<a href='/p/redirect/q'>x</a>", "redirect of {origin}/p/redirect/q outside the prefix"),
    ("press", "<button>x</button><script>document.querySelector('button').addEventListener('click', "
     "() => fetch('/p/nowhere/pressed'))</script>", "404: GET {origin}/p/nowhere/pressed"),
    ("post", "<form method='post' action='/p/redirect/q/'><input type='submit'></form>",
     "redirect of {origin}/p/redirect/q/ outside the prefix"),
    ("dialog", _DIALOG, "404: POST {origin}/p/inside"),
    ("pop-up", "<a href='/p/nowhere/up' target='_blank'>x</a>", "404: GET {origin}/p/nowhere/up"),
    ("asset", "<script src='/p/own.js'></script>", "asset through the tunnel: {origin}/p/own.js"),
]  # fmt: skip
# What a sound page may do, none of which is a fault.
SOUND = """
<a href='/p/'>home</a><a href='/p/redirect/p/'>round</a><a href='https://docs.example/'>manual</a>
<a href='#'>here</a><a href='mailto:a@b.c'>mail</a>
<img src='data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'>
<p class='alert alert-info'>welcome</p><form method='post' action='/p/redirect/p/'><input type='submit'></form>
<script src='/p/plugin/own.js'></script><script>fetch('/p/data')</script>
"""


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[str]:
    """A server of some pages below `/p/`, whose policy lets scripts run but not handlers in attributes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            page = pages.get(self.path) if self.command == "GET" else None
            to = self.path.partition("/redirect")[2]
            self.send_response(302 if to else 404 if page is None else 200)
            if to:
                self.send_header("Location", to)
            script = self.path.endswith(".js")
            body = ((page or "") if script else f"{_HEAD}{page or 'no'}").encode()
            self.send_header("Content-Type", "text/javascript" if script else "text/html")
            self.send_header("Content-Security-Policy", "script-src * 'nonce-n'")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def crawled(browser: Browser, pages: dict[str, str], other: str = "") -> tuple[str, list[str]]:
    """The origin of a site of these pages, and what a crawl from all of them finds."""
    index = "".join(f"<a href='{path}'>{path}</a>" for path in pages if not path.endswith((".js", "data")))
    nonced = {
        path: body.replace("{other}", other).replace("<script", "<script nonce='n'")
        for path, body in pages.items()
    }
    with serving({**nonced, "/p/": nonced.get("/p/", "") + index}) as origin:
        context = browser.new_context()
        bounds = Bounds(
            origin, "/p", cdn="http://127.0.0.1:1", linked=("docs.example",), own_assets=("/plugin/",)
        )
        crawl = Crawl(context, bounds)
        crawl.run("/")
        context.close()
    return origin, crawl.faults()


def test_each_fault_is_found(browser: Browser) -> None:
    """Each broken page is reported with what is wrong on it."""
    other = f"http://127.0.0.1:{free_port()}"
    pages = {f"/p/{name}": body for name, body, _ in BROKEN} | {"/p/own.js": ""}
    origin, faults = crawled(browser, pages, other)
    for name, _, sign in BROKEN:
        wanted = sign.format(origin=origin, other=other)
        # A redirect and a missing page are reported where the browser was when it asked.
        assert any(wanted in fault for fault in faults), (name, wanted, faults)


def test_a_sound_site_has_no_fault(browser: Browser) -> None:
    """Links, messages, forms and scripts that are as they should be."""
    _, faults = crawled(browser, {"/p/": SOUND, "/p/plugin/own.js": "1", "/p/data": "{}"})
    assert faults == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/admin/airflow/graph?dag_id=a&root=", "/admin/airflow/graph?dag_id"),
        ("/admin/taskinstance/?flt1_a=b&flt12_a=c", "/admin/taskinstance/?fltN_a"),
        ("/dags/12/tasks/3", "/dags/N/tasks/N"),
    ],
)
def test_pages_of_one_kind(path: str, kind: str) -> None:
    """Values and numbers do not make another page."""
    assert route(path) == kind
