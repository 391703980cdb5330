"""The assets of a real webserver: its own, and those of a CDN that fails and comes back."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import brotli
import pytest
import requests
from harness.browsing import Watched
from harness.made import MADE
from harness.origin import Origin, serving_origin
from harness.processes import Running
from harness.site import NewSite, complaints
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.slow]

# Seconds between two checks; 15 in earnest. An outage must show within a minute, or 4 of these.
INTERVAL = 2
CACHED = "public, max-age=31536000, immutable"
START_WORKER = """url => new Promise((done, fail) => {
  const { WorkerClient } = ace.require("ace/worker/worker_client");
  const { $worker } = new WorkerClient(["ace"], "ace/mode/any_worker", "Any", url);
  $worker.onmessage = event => done(event.data);
  $worker.onerror = event => fail(event.message);
})"""
PAGES = ("/admin/", "/admin/queryview/", "/admin/chart/new/?url=%2Fadmin%2Fchart%2F")


@pytest.fixture(scope="module")
def bundle(installed: Path) -> Path:
    """The bundle in the installed wheel."""
    code = "from airflow_service import asset_manifest as m; print(m.FOLDER)"
    done = subprocess.run([installed, "-c", code], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def assets(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())["assets"]
    return found


@pytest.fixture(scope="module")
def origin(bundle: Path) -> Iterator[Origin]:
    with serving_origin(bundle) as served:
        yield served


@pytest.fixture(scope="module")
def server(new_site: NewSite, origin: Origin) -> Iterator[tuple[str, Running]]:
    """The address of a webserver with two workers, and its process."""
    site = new_site(
        "cdn",
        AIRFLOW__SERVICE__CDN_URL=origin.url,
        AIRFLOW__SERVICE__CDN_CHECK_INTERVAL=str(INTERVAL),
        AIRFLOW__WEBSERVER__WORKERS="2",
    )
    site.run("initdb")
    with site.webserver() as (url, process):
        yield url, process
        assert complaints(process.output) == []


def page_assets(url: str) -> dict[str, str]:
    """The address of each script and style sheet of a page, with its `integrity`."""
    text = requests.get(url, timeout=30).text
    tags = re.findall(r"<(?:script|link)\b[^>]*>", text)
    found = {}
    for tag in tags:
        address = re.search(r"""\b(?:src|href)=["']([^"']+)""", tag)
        if address and not re.search(r'rel="(icon|preload)"', tag):
            integrity = re.search(r' integrity="([^"]+)" crossorigin="anonymous"', tag)
            assert integrity, tag
            found[address[1]] = integrity[1]
    return found


def origins_of(url: str) -> set[str]:
    return {urlsplit(address).netloc for address in page_assets(f"{url}/admin/")}


def wait_for_origin(url: str, host: str) -> float:
    """Seconds until eight pages in a row, of whichever worker, name that origin alone."""
    start = time.monotonic()
    in_a_row = 0
    while in_a_row < 8:
        in_a_row = in_a_row + 1 if origins_of(url) == {host} else 0
        assert time.monotonic() - start < 4 * INTERVAL + 20, "the webserver did not notice"
        time.sleep(0.05)
    return time.monotonic() - start


def test_pages_name_the_cdn(server: tuple[str, Running], origin: Origin) -> None:
    """Every script and style sheet is on the CDN, with the hash of what is there."""
    for path in PAGES:
        found = page_assets(server[0] + path)
        # One of each kind at least.
        assert len(found) >= 2
        for address, integrity in found.items():
            assert address.startswith(f"{origin.url}/a/")
            content = requests.get(address, timeout=30).content
            assert integrity == "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()
    while (health := requests.get(f"{server[0]}/health", timeout=30).json())["cdn"]["status"] == "checking":
        time.sleep(0.1)  # a worker that has given no page yet
    assert health["cdn"]["status"] == "healthy"
    assert health["metadatabase"]["status"] == "healthy"


def test_own_assets_are_precompressed_and_kept(server: tuple[str, Running], assets: dict[str, Any]) -> None:
    """Each under its hashed name, small as the browser takes it, for a year; HEAD and If-None-Match work."""
    url, _ = server
    with requests.Session() as session:
        for entry in assets.values():
            for accepted, encoding in (("gzip, br", "br"), ("gzip", "gzip"), ("identity", None)):
                reply = session.get(f"{url}/a/{entry['name']}", headers={"Accept-Encoding": accepted}, stream=True)
                sent = reply.raw.read(decode_content=False)
                wanted = encoding if encoding in entry["encodings"] else None
                if wanted is None and encoding == "br" and "gzip" in entry["encodings"]:
                    wanted = "gzip"
                assert (reply.status_code, reply.headers.get("Content-Encoding")) == (200, wanted)
                decode = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[wanted]
                assert hashlib.sha256(decode(sent)).hexdigest() == entry["sha256"]
                assert reply.headers["Cache-Control"] == CACHED
                assert reply.headers["Content-Type"] == entry["type"]
                assert (reply.headers.get("Vary") == "Accept-Encoding") == bool(entry["encodings"])
        known = {"If-None-Match": reply.headers["ETag"]}
        assert session.get(f"{url}/a/{entry['name']}", headers=known, timeout=30).status_code == 304
        plain = {"Accept-Encoding": "identity"}
        headers = session.head(f"{url}/a/{entry['name']}", headers=plain, timeout=30).headers
        assert headers["Content-Length"] == str(entry["size"])
        for path in ("/a/", "/a/..%2Fmanifest.json", "/a/../manifest.json", f"/a/{entry['name']}.gz", "/a/x.js"):
            assert session.get(url + path, timeout=30).status_code == 404, path


def test_old_addresses_lead_to_the_assets(server: tuple[str, Running], origin: Origin) -> None:
    """A plugin that writes `/static/main.css` by hand gets the style sheet, with its pictures."""
    reply = requests.get(f"{server[0]}/static/main.css", timeout=30)
    assert reply.ok
    assert reply.url.startswith(f"{origin.url}/a/main.")
    plain = requests.get(f"{server[0]}/static/underscore.js", timeout=30)
    assert (plain.status_code, plain.headers["Cache-Control"]) == (200, "no-cache")
    known = {"If-None-Match": plain.headers["ETag"]}
    assert requests.get(plain.url, headers=known, timeout=30).status_code == 304


@pytest.mark.parametrize("how", ["stopped", "stalled", "without CORS"])
def test_an_outage_of_the_cdn(server: tuple[str, Running], origin: Origin, how: str) -> None:
    """Both workers notice it, hand out their own addresses, say so in `/health`, and go back."""
    url, _ = server
    assert origins_of(url) == {origin.host}
    if how == "stopped":
        origin.stop()
    else:
        origin.stalled, origin.cors = how == "stalled", how != "without CORS"
    wait_for_origin(url, "")
    health = requests.get(f"{url}/health", timeout=30).json()
    assert health["cdn"]["status"] == "unhealthy"
    assert ("no " if how != "without CORS" else "Access-Control") in health["cdn"]["problem"]
    for address in page_assets(f"{url}/admin/"):
        assert requests.get(url + address, timeout=30).ok
    if how == "stopped":
        origin.start()
    else:
        origin.stalled, origin.cors = False, True
    wait_for_origin(url, origin.host)
    assert requests.get(f"{url}/health", timeout=30).json()["cdn"]["status"] == "healthy"


def test_in_a_browser(
    browser: Browser, server: tuple[str, Running], origin: Origin, assets: dict[str, Any]
) -> None:
    """Index and editor work with all assets from the CDN; a tampered one is refused, and the page names it."""
    host = urlsplit(server[0]).netloc
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    watched = Watched(context.new_page(), host, MADE / "screenshots", others=(origin.host,))
    page = watched.open("/admin/")
    # Fonts are asked for from style sheets, across origins.
    page.evaluate("document.fonts.load('16px \"Glyphicons Halflings\"')")
    assert page.evaluate("[...document.fonts].some(font => font.status == 'loaded')")
    page = watched.open("/admin/queryview/")
    page.locator(".ace_text-input").first.fill("SELECT 1 FROM dag")
    expect(page.locator(".ace_keyword").first).to_have_text("SELECT")
    # The release has no search box; its key must not ask for one in vain.
    page.keyboard.press("Control+f")
    expect(page.locator(".ace-crimson-editor")).to_have_count(1)
    watched.settle()
    # A worker's script, had the release one: Ace starts it from the CDN, which takes a blob.
    worker = assets["static/gantt-chart-d3v2.js"]["name"]  # one that the browser has not yet
    origin.tampered[worker] = b"postMessage('alive')"
    assert page.evaluate(START_WORKER, f"{origin.url}/a/{worker}") == "alive"
    del origin.tampered[worker]
    watched.check()
    own = [url for url in watched.asked if urlsplit(url).netloc == host]
    assert not [url for url in own if re.match(r"/(a|static)/", urlsplit(url).path)], own
    name = assets["admin/vendor/jquery.min.js"]["name"]
    origin.tampered[name] = b"alert('changed')"
    another = browser.new_context()
    fresh = another.new_page()
    fresh.goto(f"{server[0]}/admin/pool/")
    expect(fresh.locator("#asset-errors")).to_contain_text(f"{name} could not be loaded, or its content is")
    assert fresh.evaluate("typeof jQuery") == "undefined"
    del origin.tampered[name]
    another.close()
    context.close()
