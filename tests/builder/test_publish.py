"""Tests of builder.publish against a real S3 server, with faults injected between the two."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import brotli
import pytest
from harness.bundles import make_dist, sample_files
from harness.faulty_proxy import Fault
from publishing import MANIFEST, START, VERSION, Site
from tiny_release import ROOT

from builder.manifest import Manifest


def test_a_fresh_bundle_is_published(site: Site) -> None:
    """Every object is there with its headers, the manifest was stored last, and no mark stays."""
    ran = site.publish()
    assert ran.code == 0, ran.err
    assert site.complete()
    puts = [path for method, path in site.proxy.requests if method == "PUT"]
    assert puts[-1].endswith(MANIFEST)
    assert len(puts) == len(site.stored()) + 1, "one PUT for each object, and one for the mark"
    client = site.server.client()
    for key, content in site.stored().items():
        head = client.head_object(Bucket=site.bucket, Key=f"some/prefix/{key}")
        plain, _, suffix = key.rpartition(".")
        if key == MANIFEST:
            assert (head["CacheControl"], head["ContentType"]) == ("no-cache", "application/json")
            continue
        assert head["CacheControl"] == "public, max-age=31536000, immutable"
        encoding = {"br": "br", "gz": "gzip"}.get(suffix)
        assert head.get("ContentEncoding") == encoding
        decoded = (
            brotli.decompress(content)
            if suffix == "br"
            else gzip.decompress(content)
            if encoding
            else content
        )
        name = plain if encoding else key
        assert head["ContentType"] == {
            "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "png": "image/png",
        }[name.rpartition(".")[2]]  # fmt: skip
        assert hashlib.sha256(decoded).hexdigest()[:20] in key


def test_a_second_publish_asks_once(site: Site) -> None:
    """The same bundle again: no PUT, at most two requests."""
    site.publish()
    before = site.stored()
    ran = site.publish()
    assert ran.code == 0
    assert "nothing to do" in ran.out
    assert len(site.proxy.requests) <= 2
    assert site.proxy.count("PUT") == 0
    assert site.stored() == before


def test_the_next_version_uploads_what_is_new(site: Site) -> None:
    """What both versions have is not sent again."""
    site.publish()
    first = site.stored()
    pin = site.checkout.patches / "upstream.toml"
    pin.write_text(pin.read_text().replace("revision = 1", "revision = 2"))
    make_dist(site.checkout.dist, sample_files(1), "1.0+svc.2")
    assert site.publish().code == 0
    added = site.stored().keys() - first.keys()
    puts = [path for method, path in site.proxy.requests if method == "PUT" and "/publishing/" not in path]
    assert {path.removeprefix(f"/{site.bucket}/some/prefix/") for path in puts} == added
    assert not [key for key in added if "shared" in key]


def test_a_dry_run_stores_nothing(site: Site) -> None:
    """It names what would be uploaded, and only that."""
    ran = site.publish("--dry-run")
    assert ran.code == 0
    assert site.proxy.count("PUT") == 0
    assert site.stored() == {}
    assert MANIFEST in ran.out
    named = {line.split()[-1] for line in ran.out.splitlines()[:-1]}
    site.publish()
    assert named == site.stored().keys()
    ran = site.publish("--dry-run")
    assert "would publish" in ran.out
    assert "0 objects" in ran.out


def test_a_check_mends_what_is_gone(site: Site) -> None:
    """With --check, objects that somebody deleted come back, although the manifest is there."""
    site.publish()
    before = site.stored()
    lost = next(key for key in before if key.startswith("a/shared"))
    site.server.client().delete_object(Bucket=site.bucket, Key=f"some/prefix/{lost}")
    assert "nothing to do" in site.publish().out
    ran = site.publish("--check")
    assert ran.code == 0
    assert "1 objects" in ran.out
    assert site.stored() == before


def test_something_else_under_a_name_is_never_overwritten(site: Site) -> None:
    """A foreign object of a name of ours, of another size or the same: an error with its name, and it stays."""
    site.publish()
    before = site.stored()
    asset = next(key for key in before if key.endswith(".png"))
    client = site.server.client()
    client.delete_object(Bucket=site.bucket, Key=f"some/prefix/{MANIFEST}")
    for foreign in (b"short", bytes(len(before[asset]))):
        client.put_object(Bucket=site.bucket, Key=f"some/prefix/{asset}", Body=foreign)
        ran = site.publish()
        assert ran.code == 36
        assert asset in ran.err
        assert site.stored()[asset] == foreign
        assert MANIFEST not in site.stored(), "no manifest may name it"


def test_an_object_that_vanishes_meanwhile(site: Site) -> None:
    """Somebody deletes what was listed: another matter than a foreign object, and mended by running again."""
    site.publish()
    client = site.server.client()
    asset = next(key for key in site.stored() if key.endswith(".png"))
    client.delete_object(Bucket=site.bucket, Key=f"some/prefix/{MANIFEST}")
    client.put_object(Bucket=site.bucket, Key=f"some/prefix/{asset}", Body=b"to be looked at")

    def delete(method: str, path: str) -> None:
        if method == "GET" and path.endswith(asset):
            client.delete_object(Bucket=site.bucket, Key=f"some/prefix/{asset}")

    site.proxy.before = delete
    ran = site.publish()
    assert ran.code == 37
    assert "are gone" in ran.err
    assert asset in ran.err
    site.proxy.before = None
    assert site.publish().code == 0
    assert site.complete()


def test_a_mark_names_no_machine(site: Site) -> None:
    """Whoever reads the store learns the version, and not who publishes where."""
    marks: set[bytes] = set()

    def look(method: str, path: str) -> None:
        if method == "PUT" and path.endswith(".png"):
            marks.update(content for key, content in site.stored().items() if key.startswith("publishing/"))

    site.proxy.before = look
    assert site.publish().code == 0
    assert marks == {f"{VERSION}\n".encode()}


def test_an_object_that_appears_meanwhile_is_compared(site: Site) -> None:
    """A foreign object that was stored after the listing meets the conditional PUT, and stays."""
    manifest = Manifest.load((site.checkout.dist / f"manifest-{VERSION}.json").read_bytes())
    name = manifest.assets["static/picture.png"].name
    client = site.server.client()

    def meddle(method: str, path: str) -> None:
        if method == "PUT" and path.endswith(name):
            client.put_object(Bucket=site.bucket, Key=f"some/prefix/a/{name}", Body=b"foreign")

    site.proxy.before = meddle
    ran = site.publish()
    assert ran.code == 36
    assert site.stored()[f"a/{name}"] == b"foreign"
    assert MANIFEST not in site.stored()


def test_another_build_of_the_same_version_is_refused(site: Site) -> None:
    """A version means one set of assets: the published manifest stays, and the difference is named."""
    site.publish()
    before = site.stored()
    make_dist(site.checkout.dist, {**sample_files(), "new.js": b"// new\n" * 99})
    ran = site.publish()
    assert ran.code == 36
    assert "static/new.js" in ran.err
    assert "revision" in ran.err
    assert site.stored() == before


def test_another_machines_compressor_is_no_difference(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants and a manifest whose compressed bytes differ, of the same content, are the same bundle."""
    monkeypatch.setattr("builder.compress.GZIP_LEVEL", 1)
    monkeypatch.setattr("builder.compress.gzip.__defaults__", (1,))
    make_dist(site.checkout.dist, sample_files())
    site.publish()
    before = site.stored()
    monkeypatch.undo()
    for name, value in site.server.keys().items():
        monkeypatch.setenv(name, value)
    make_dist(site.checkout.dist, sample_files())
    for more in ((), ("--check",)):
        ran = site.publish(*more)
        assert ran.code == 0, ran.err
        assert site.stored() == before
    site.server.client().delete_object(Bucket=site.bucket, Key=f"some/prefix/{MANIFEST}")
    assert site.publish().code == 0


@pytest.mark.parametrize("verbs", [2, 4])
def test_publishers_side_by_side(site: Site, verbs: int) -> None:
    """Several at once all succeed, and the bundle is there once, whole."""
    processes = [site.process("publish", *site.arguments[:-1], "20") for _ in range(verbs)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert site.complete()


def test_the_root_of_a_bucket(site: Site) -> None:
    """A place without a prefix is the bucket itself."""
    ran = site.checkout.run("publish", f"s3://{site.bucket}", "--endpoint-url", site.proxy.url)
    assert ran.code == 0
    assert MANIFEST in site.server.objects(site.bucket)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_interrupted(site: Site, signum: signal.Signals) -> None:
    """Stopped in mid-upload, at once: no manifest, no traceback, and the next run goes on from there."""
    reached = threading.Event()

    def hold(method: str, path: str) -> None:
        if method == "PUT" and "own" in path:
            reached.set()
            site.proxy.wait_until_closed(3)

    site.proxy.before = hold
    process = site.process("publish", *site.arguments[:-1], "30")
    assert reached.wait(20)
    begun = time.monotonic()
    os.killpg(process.pid, signum)
    err = site.ended(process, 20)
    assert time.monotonic() - begun < 8
    assert process.returncode == (130 if signum == signal.SIGINT else -signum), err
    assert "Traceback" not in err
    assert MANIFEST not in site.stored()
    site.proxy.before = None
    assert site.publish().code == 0
    assert {key for key in site.stored() if not key.startswith("publishing/")} >= {MANIFEST}


@pytest.mark.parametrize("place", ["/manifests/", "/pruning/", "/a/"])
def test_interrupted_while_the_store_hangs(site: Site, place: str) -> None:
    """Ctrl-C is heard at once, whichever answer is being waited for."""
    reached = threading.Event()
    site.proxy.before = lambda _, path: reached.set() if place in path else None
    site.proxy.faults = [Fault("stall", path=place, times=1000)]
    process = site.process("publish", *site.arguments[:-1], "60")
    assert reached.wait(20)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    err = site.ended(process, 30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert time.monotonic() - begun < 8


def test_a_prune_at_work_is_not_disturbed(site: Site) -> None:
    """While a prune's fresh mark is there nothing is published, and the message says what to do."""
    client = site.server.client()
    client.put_object(Bucket=site.bucket, Key="some/prefix/pruning/0123", Body=b"prune")
    ran = site.publish()
    assert ran.code == 37
    assert "pruning/0123" in ran.err
    assert site.stored().keys() == {"pruning/0123"}
    client.delete_object(Bucket=site.bucket, Key="some/prefix/pruning/0123")
    assert site.publish().code == 0


def test_progress_only_on_a_terminal(site: Site) -> None:
    """Without a terminal there is one line of result, and nothing else."""
    ran = site.publish()
    assert ran.err == ""
    assert len(ran.out.splitlines()) == 1


def test_progress_on_a_terminal(site: Site) -> None:
    """On a terminal a line shows how far it is, and goes away."""
    leader, follower = os.openpty()
    site.proxy.faults = [Fault("slow", "PUT", times=4, seconds=0.3)]
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(site.checkout.root), "publish", *site.arguments], cwd=ROOT,
        env={**os.environ, "TERM": "xterm"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    shown = io.BytesIO()
    while True:
        try:
            part = os.read(leader, 1024)
        except OSError:
            break
        if not part:
            break
        shown.write(part)
    os.close(leader)
    assert process.wait(30) == 0
    assert b"publishing  " in shown.getvalue()
    assert shown.getvalue().endswith(b"\r\x1b[K")


def test_many_at_once_is_quick_and_bounded(site: Site) -> None:
    """Uploads go at the same time: forty slow answers take a fraction of their sum."""
    make_dist(site.checkout.dist, sample_files(count=16))
    site.proxy.faults = [Fault("slow", "PUT", "/a/", times=40, seconds=0.4)]
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(site.publish).result(60).code == 0
    assert time.monotonic() - begun < 40 * 0.4 / 3
