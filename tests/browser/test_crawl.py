"""A crawl of the whole UI, with a plugin's pages, in each way that it can be served.

With --thorough each of the six presses everything that can be pressed, on two pages if it is on several.
Without, one presses each button on the first page that has it, and two others read every kind of page once:
no prefix, one that is passed on, one that is stripped; with the CDN and without.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import filled_site, s3
from harness.cdn import CdnOrigin, published_cdn
from harness.crawl import Crawl
from harness.environments import release
from harness.nginx import nginx
from harness.processes import free_port
from harness.site import Site
from harness.traffic import Bounds
from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow]

PREFIX = "/airflow-webserver-19289"
STARTS = ("/", "/admin/", "/admin/airflow/graph?dag_id=example_subdag_operator")
# Where the menu and the version page send a user.
LINKED = ("airflow.apache.org", "github.com", "pypi.python.org", "example.com")
# A chart that finds several things, for NVD3 has no place for the label below a single bar, and a row in each
# list that would be empty.
ROWS = """
UPDATE connection SET conn_type = 'sqlite', host = '{database}', login = NULL, password = NULL,
    schema = NULL, is_encrypted = 0 WHERE conn_id IN ('airflow_db', 'own');
UPDATE chart SET sql = 'SELECT COALESCE(state, ''none'') AS x, COUNT(1) AS y FROM task_instance GROUP BY state';
INSERT INTO users (id, username) VALUES (101, 'ann'), (102, 'ben');
INSERT INTO known_event (id, label, start_date, end_date, user_id, known_event_type_id)
    VALUES (101, 'one', '2024-01-01 00:00:00.000000', '2024-01-02 00:00:00.000000', 101, 1),
           (102, 'two', '2024-01-01 00:00:00.000000', '2024-01-02 00:00:00.000000', 102, 2);
INSERT INTO classic_member (id, name, on_call, team_id) VALUES (101, 'eve', 1, 1), (102, 'dan', 0, 1);
"""
# What makes sense in a field of this name, where the crawler's own words do not.
VALUES = {"conf": "{}", "sql": "SELECT 1 AS x, 2 AS y", "default_view": "graph", "extra": "{}"}
# What this release is known to do wrong, each with why it is let through.
KNOWN = (
    r"message: .*default_pool cannot be deleted",
)
# Views that no link, form or script of a page leads to.
NOT_READ = (
    r"^/api/experimental/",
    # Flask-Admin has these for each model, and a view that does not switch them on leads away.
    r"^/admin/\w+/(details|ajax/lookup)/$",
    r"^/admin/(basejob|basexcom|classic_keys|dagmodel|log|slamiss|taskinstance)/new/$",
    r"^/admin/(basejob|basexcom|classic_keys|log|slamiss|taskinstance)/edit/$",
    # For a log store, a pickled DAG, an authentication backend, which this site has not.
    r"^/admin/airflow/(elasticsearch|pickle_info|login|logout|noaccess)$",
    r"^/admin/airflow/$",
    # A mail's link, what a supervisor asks, and scripts of before.
    r"^/admin/airflow/(success|get_logs_with_metadata)$",
    r"^/health$",
)
# What scripts ask for after a pause or a click; a short crawl does not wait for it.
NOT_AT_ONCE = (r"^/admin/airflow/(log_page|object/task_instances)$",)
NOT_SENT = (
    r"^/admin/(?!team)\w+/ajax/update/$",
    r"^/admin/(basejob|basexcom|classic_keys|dagmodel|log|slamiss)/(action|delete)/$",
    # These two delete in bulk alone.
    r"^/admin/(dagrun|taskinstance)/delete/$",
)

_STRIPPED = """
server {{
    listen 127.0.0.1:{port};
    location {prefix}/ {{
        proxy_pass http://{webserver}/;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
    }}
}}
"""
_PASSED_ON = """
listen = ["127.0.0.1:{port}"]
[[cluster]]
prefix = "{prefix}"
webserver = ["{webserver}"]
"""


@dataclass(frozen=True)
class Server:
    """A running webserver, where browsers shall see it, and its CDN."""

    site: Site
    listens: str
    public: str
    prefix: str
    cdn: CdnOrigin | None

    @contextmanager
    def behind(self, proxy: str, folder: Path) -> Iterator[Path | None]:
        """Reach it through nginx; gives nginx's log."""
        if not proxy:
            yield None
            return
        port = int(self.public.rpartition(":")[2])
        values = {"port": port, "prefix": self.prefix, "webserver": self.listens.removeprefix("http://")}
        included = folder / "airflow.conf"
        if proxy == "stripped":
            included.write_text(_STRIPPED.format(**values))
        else:
            (folder / "values.toml").write_text(_PASSED_ON.format(**values))
            rendered = self.site.run(
                "render", "nginx", "--values", str(folder / "values.toml"), command="airflow-service"
            )
            included.write_text(rendered.stdout)
        with nginx(folder, included, port):
            yield folder / "access.log"


@pytest.fixture(scope="module")
def disposable(installed: Path, filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site to be used up. Its chart has a database that answers."""
    home = filled_site.copied(filled_home, tmp_path_factory.mktemp("crawl") / "home")
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        database.executescript(ROWS.format(database=home / "airflow.db"))
    shutil.copy(home / "airflow.db", home / "fresh.db")
    return Site(installed, home, filled_site.SETTINGS)


@pytest.fixture(scope="module")
def cdn(dist: Path) -> Iterator[CdnOrigin]:
    """What `build.py publish` put into a store, served to browsers."""
    with s3.server() as store, published_cdn(store, dist, release()) as origin:
        yield origin


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, disposable: Site) -> Iterator[Server]:
    """A webserver below a prefix or not, with the CDN or without, on a fresh database."""
    prefix, has_cdn = request.param
    cdn: CdnOrigin | None = request.getfixturevalue("cdn") if has_cdn else None
    disposable.settings["AIRFLOW__SERVICE__CDN_URL"] = cdn.url if cdn else ""
    shutil.copy(disposable.home / "fresh.db", disposable.home / "airflow.db")
    public = f"http://127.0.0.1:{free_port()}" if prefix else ""
    with disposable.webserver(f"{public}{prefix}" if prefix else "") as (url, process):
        yield Server(disposable, url, public or url, prefix, cdn)
        assert re.findall(r"Traceback(?:.*\n)*?\S*(?:Error|Exception).*", process.output) == []


def crawl_of(browser: Browser, server: Server, press: bool, thorough: bool) -> Crawl:
    """Crawl a site as a browser that has never been there."""
    context = browser.new_context(
        viewport={"width": 1400, "height": 900}, locale="en-GB", reduced_motion="reduce"
    )
    context.set_default_timeout(60_000)
    bounds = Bounds(
        server.public, server.prefix, server.cdn.url if server.cdn else "", LINKED,
        own_assets=("/static/classic/",),
    )  # fmt: skip
    crawl = Crawl(
        context, bounds, KNOWN, prefer="everyday", values=VALUES, press=press,
        pages_of_a_control=2 if thorough else 1, others_of_a_kind=3 if thorough else 2,
    )  # fmt: skip
    crawl.run(*STARTS)
    context.close()
    return crawl


def tunnel_faults(log: Path, server: Server) -> list[str]:
    """What nginx saw that should not have come: a browser's request that no page of ours is behind, an asset."""
    asked = re.findall(r'"(?:GET|POST|HEAD) (\S+) HTTP', log.read_text())
    assert asked
    outside = [path for path in asked if not path.startswith(f"{server.prefix}/")]
    paths = [path.removeprefix(server.prefix) for path in asked]
    assets = [
        path
        for path in paths
        if path.startswith(("/a/", "/static/")) or path.endswith((".js", ".css", ".ico"))
    ]
    if server.cdn is None:
        assets = []
    return outside + [path for path in assets if not path.startswith("/static/classic/")]


@pytest.fixture(scope="module")
def views(disposable: Site) -> dict[str, list[str]]:
    """The paths that the application answers, by method; without those that take a part of the path."""
    code = """
import json
from airflow.www.app import create_app
rules = [(rule.rule, rule.methods) for rule in create_app().url_map.iter_rules() if not rule.arguments]
print("\\n" + json.dumps({method: sorted(rule for rule, methods in rules if method in methods)
                         for method in ("GET", "POST")}))
"""
    found: dict[str, list[str]] = json.loads(
        disposable.run("-c", code, command="python").stdout.splitlines()[-1]
    )
    return found


def missed(views: list[str], reached: set[str], left_out: tuple[str, ...]) -> list[str]:
    """The views that were not reached, but for those that a pattern says need not be."""
    return [
        path for path in views if path not in reached and not any(re.search(one, path) for one in left_out)
    ]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("server", "proxy", "every_button"),
    [
        pytest.param(("", False), "", False, id="root"),
        pytest.param(("", True), "", False, id="root-cdn", marks=pytest.mark.thorough),
        pytest.param((PREFIX, False), "passed", False, id="passed"),
        pytest.param((PREFIX, False), "stripped", False, id="stripped", marks=pytest.mark.thorough),
        pytest.param((PREFIX, True), "passed", False, id="passed-cdn", marks=pytest.mark.thorough),
        pytest.param((PREFIX, True), "stripped", True, id="stripped-cdn"),
    ],
    indirect=["server"],
)
def test_nothing_is_broken(
    browser: Browser,
    server: Server,
    proxy: str,
    every_button: bool,
    thorough: bool,
    views: dict[str, list[str]],
    tmp_path: Path,
) -> None:
    """No page, link, form, script, picture or answer to a click fails, or is anywhere but it should be."""
    press = every_button or thorough
    with server.behind(proxy, tmp_path) as log:
        crawl = crawl_of(browser, server, press, thorough)
        wrong = crawl.faults() + (tunnel_faults(log, server) if log else [])
    # What was pressed, in order, is what one wants to know of a failure.
    print("\n".join(crawl.pressed))
    left_out = NOT_READ if press else NOT_READ + NOT_AT_ONCE
    wrong += [f"not read: {path}" for path in missed(views["GET"], crawl.reached("GET"), left_out)]
    if press:
        sent = crawl.reached("POST")
        wrong += [f"not sent: {path}" for path in missed(views["POST"], sent, NOT_READ + NOT_SENT)]
    if server.cdn is not None:
        fetched = [one.url for one in crawl.traffic.exchanges if one.url.startswith(f"{server.cdn.url}/a/")]
        wrong += [] if fetched else ["nothing came from the CDN"]
    assert wrong == [], "\n".join(wrong)
