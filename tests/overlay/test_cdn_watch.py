"""Tests of airflow_service.cdn_watch against an origin that fails in every way that CDNs do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from airflow_service.asset_manifest import Asset, Manifest
from airflow_service.cdn_check import manifest_url
from airflow_service.cdn_watch import CdnWatch, Checks
from harness.origin import Origin, serving_origin

VERSION = "1.10.15+svc.1"
PAGES = "https://flow.example.com"
STYLE = b"p {}\n"
NAME = "main.0123456789abcdef0123.css"
TYPE = "text/css; charset=utf-8"
INTEGRITY = "sha384-" + base64.b64encode(hashlib.sha384(STYLE).digest()).decode()
ENTRY = {"name": NAME, "size": len(STYLE), "type": TYPE, "integrity": INTEGRITY, "encodings": {"br": {"size": 3}}}
DOCUMENT = {"version": VERSION, "assets": {"static/main.css": ENTRY}, "groups": {}, "padding": "x" * 1000}
MANIFEST = json.dumps(DOCUMENT).encode()
# Fast enough for a test, and slow enough for a machine that does something else too.
CHECKS = Checks(interval=2)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / NAME).write_bytes(STYLE)
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    return tmp_path


@pytest.fixture
def origin(bundle: Path) -> Iterator[Origin]:
    with serving_origin(bundle) as served:
        yield served


def watching(origin: Origin) -> CdnWatch:
    asset = Asset(NAME, len(STYLE), TYPE, INTEGRITY)
    manifest = Manifest(VERSION, {"static/main.css": asset}, {}, origin.folder / "a", MANIFEST)
    return CdnWatch(origin.url, manifest, PAGES, CHECKS)


def wait_for_base(watch: CdnWatch, wanted: str, seconds: float) -> float:
    """Seconds until the watch gives that base."""
    start = time.monotonic()
    while watch.base() != wanted:
        assert time.monotonic() - start < seconds, watch.health()
        time.sleep(0.05)
    return time.monotonic() - start


def stop(origin: Origin) -> None:
    origin.stop()


def stall(origin: Origin) -> None:
    origin.stalled = True


def drip(origin: Origin) -> None:
    origin.tampered["manifest.json"] = MANIFEST + b" "  # another ETag: it has to send the whole
    origin.pause = 0.1


def freeze(origin: Origin) -> None:
    """Stop in the middle of a body."""
    origin.tampered["manifest.json"] = MANIFEST + b" "
    origin.pause = 30


def fail(origin: Origin) -> None:
    origin.status = 503


def mislead(origin: Origin) -> None:
    origin.tampered["manifest.json"] = MANIFEST.replace(b"x", b"y")


def cut(origin: Origin) -> None:
    origin.tampered["manifest.json"] = MANIFEST[:-100]


def forget_cors(origin: Origin) -> None:
    origin.cors = False


def forbid_assets(origin: Origin) -> None:
    origin.statuses["/a/"] = 403


def change_asset(origin: Origin) -> None:
    origin.tampered[NAME] = STYLE.replace(b"p", b"q")


def mend(origin: Origin) -> None:
    origin.stalled, origin.status, origin.pause, origin.cors = False, 200, 0, True
    origin.statuses.clear()
    origin.tampered.clear()
    origin.stop()
    origin.start()


FAILURES: dict[str, Callable[[Origin], None]] = {
    "no answer": stop,
    "no whole answer within 0.4 seconds": stall,
    "no whole answer": drip,
    "no whole answer within": freeze,
    "it answers 503": fail,
    "it has another manifest": mislead,
    "it has another manifest under this version's name": cut,
    "it does not let other sites' pages use its assets": forget_cors,
    f"it answers 403 for the asset {NAME}": forbid_assets,
    f"it has other bytes under the asset's name {NAME}": change_asset,
}


@pytest.mark.slow
def test_out_and_in_again(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is left after some failures, and used again after some good answers; both are logged."""
    with contextlib.ExitStack() as stack:
        # All failures side by side: the test waits for clocks, not for work.
        origins = [stack.enter_context(serving_origin(bundle)) for _ in FAILURES]
        watches = [watching(origin) for origin in origins]
        for watch in watches:
            assert watch.base() == watch.cdn_url
            assert watch.health()["status"] == "healthy"
        for origin, break_it in zip(origins, FAILURES.values(), strict=True):
            break_it(origin)
        for watch, problem in zip(watches, FAILURES, strict=True):
            # A minute is 4 intervals of 15 seconds.
            wait_for_base(watch, "", 4 * CHECKS.interval)
            told = watch.health()
            assert (told["status"], told["url"]) == ("unhealthy", watch.cdn_url)
            assert problem in told["problem"]
        for origin in origins:
            mend(origin)
        for watch, problem in zip(watches, FAILURES, strict=True):
            wait_for_base(watch, watch.cdn_url, 4 * CHECKS.interval)
            assert "problem" not in watch.health()
            told_of = [record.getMessage() for record in caplog.records]
            out, back = [message for message in told_of if f"{watch.cdn_url}/" in message]
            assert "assets come from here" in out
            assert problem in out
            assert "in use again" in back


@pytest.mark.slow
def test_one_failure_is_no_outage(origin: Origin) -> None:
    """An answer that was lost on the way changes nothing, and is asked for again soon."""
    watch = watching(origin)
    assert watch.base() == origin.url
    origin.status = 500
    asked = len(origin.asked)
    while len(origin.asked) == asked:
        time.sleep(0.02)
    origin.status = 200
    for _ in range(20):
        assert watch.base() == origin.url
        time.sleep(0.1)


def test_a_new_worker_does_not_believe_in_a_dead_cdn(origin: Origin) -> None:
    """Its first page goes by the first answer, for which it waits not longer than two time limits."""
    origin.stalled = True
    watch = watching(origin)
    start = time.monotonic()
    assert watch.base() == ""
    assert time.monotonic() - start < 3 * CHECKS.timeout


def test_health_waits_for_no_check(origin: Origin) -> None:
    """A supervisor's question to a fresh worker is answered at once; the checks have begun."""
    origin.stalled = True
    watch = watching(origin)
    start = time.monotonic()
    assert watch.health()["status"] == "checking"
    assert time.monotonic() - start < CHECKS.timeout / 2
    wait_for_base(watch, "", 4 * CHECKS.interval)
    assert watch.health()["status"] == "unhealthy"


def test_another_brotli(origin: Origin) -> None:
    """A manifest that differs in its compressed variants alone names the same assets."""
    entry = {**ENTRY, "encodings": {"br": {"size": 4}}}
    origin.tampered["manifest.json"] = json.dumps({**DOCUMENT, "assets": {"static/main.css": entry}}, indent=1).encode()
    assert watching(origin).base() == origin.url


def test_a_first_check_that_does_not_end(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with many addresses that swallow packets: until it ends, the CDN is not believed in."""
    watch = watching(origin)
    asked, ask = threading.Event(), watch._ask
    monkeypatch.setattr(watch, "_ask", lambda: ask() if asked.wait(60) else "")
    assert watch.base() == ""
    assert watch.base() == ""
    asked.set()
    wait_for_base(watch, origin.url, 4 * CHECKS.interval)


@pytest.mark.slow
def test_silence_counts_as_failure(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A check that never ends, as in a name server that hangs, keeps no CDN in use; log and health say since when."""
    watch = watching(origin)
    assert watch.base() == origin.url
    before = datetime.fromisoformat(watch.health()["since"])
    asked, ask = threading.Event(), watch._ask
    monkeypatch.setattr(watch, "_ask", lambda: ask() if asked.wait(60) else "")
    wait_for_base(watch, "", 4 * CHECKS.interval)
    told = watch.health()
    assert told["problem"] == "no check has ended for too long"
    assert datetime.fromisoformat(told["since"]) > before
    asked.set()
    wait_for_base(watch, origin.url, 4 * CHECKS.interval)
    out, back = [record.getMessage() for record in caplog.records if f"{watch.cdn_url}/" in record.getMessage()]
    assert out.endswith("no check has ended for too long")
    assert "in use again" in back


def test_an_unchanged_manifest_is_not_sent_again(origin: Origin) -> None:
    """The checks after the first are conditional requests."""
    watch = watching(origin)
    assert watch.base() == origin.url
    while len(origin.answered) < 4:
        time.sleep(0.1)
    assert origin.answered[:4] == [200, 200, 304, 200]
    assert origin.asked[1::2][:2] == [f"/a/{NAME}"] * 2
    assert watch.base() == origin.url


def test_the_version_is_quoted(origin: Origin) -> None:
    """S3 reads a bare plus as a space."""
    assert manifest_url("http://cdn/x", VERSION) == "http://cdn/x/manifests/1.10.15%2Bsvc.1.json"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_a_thread_of_its_own(origin: Origin) -> None:
    """A worker that was forked from a process with a running watch notices an outage by itself."""
    watch = watching(origin)
    assert watch.base() == origin.url
    origin.status = 503
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"own" if watch.base() == "" else b"cdn")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 3) == b"own"
