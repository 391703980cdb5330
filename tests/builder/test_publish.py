"""Tests of builder.publish against a real S3 server, with faults injected between the two."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


FAULTS = [
    Fault("reset", "PUT", times=3),
    Fault("lost", "PUT", "/a/", times=3),
    Fault("lost", "PUT", "/manifests/"),
    Fault("stored-500", "PUT", times=4),
    Fault("stored-500", "PUT", "/manifests/"),
    Fault("503 SlowDown", times=4),
    Fault("503 SlowDown", "PUT", "/a/", times=16),
    Fault("500 InternalError", "GET", times=3),
    Fault("409 ConditionalRequestConflict", "PUT", times=2),
    Fault("corrupt", "PUT", "/a/", times=2),
    Fault("stall", "PUT", "/a/", times=1),
    Fault("truncated", "GET", times=1),
    Fault("slow", "PUT", times=4, seconds=0.5),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind} {fault.method}{fault.path}")
def test_what_passes_is_overcome(site: Site, fault: Fault) -> None:
    """Resets, stalls, lost answers, 500s after the object was stored: the bundle arrives whole all the same."""
    site.proxy.faults = [Fault(fault.kind, fault.method, fault.path, fault.times, fault.seconds)]
    ran = site.publish()
    assert ran.code == 0, ran.err
    assert site.proxy.faults[0].times == 0, "the fault was met"
    assert site.complete()


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Fault("403 AccessDenied", "PUT", "picture"), 32, "picture"),
        (Fault("507 InsufficientStorage", "PUT", "/a/"), 35, "no room"),
        (Fault("400 QuotaExceeded", "PUT", "/a/"), 35, "no room"),
        (Fault("503 SlowDown", "PUT", "shared0"), 34, "shared0"),
        (Fault("500 InternalError", "PUT", "/manifests/"), 34, "manifests/"),
        (Fault("reset", "PUT", "own1"), 34, "own1"),
        (Fault("400 ExpiredToken", "PUT", "own1"), 31, "expired"),
        (Fault("301 PermanentRedirect"), 33, "another region"),
        (Fault("400 AuthorizationHeaderMalformed"), 33, "another region"),
        (Fault("403 InvalidAccessKeyId"), 31, "credentials"),
        (Fault("501 NotImplemented", "PUT", "/a/"), 32, "refuses"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else str(value),
)
def test_what_stays_is_told(site: Site, fault: Fault, code: int, words: str) -> None:
    """A store that fails for good: a code of its own, the key, no manifest; and the next run goes on from there."""
    site.proxy.faults = [Fault(fault.kind, fault.method, fault.path, times=1000)]
    ran = site.publish()
    assert ran.code == code, ran.err
    assert words in ran.err
    assert "next: " in ran.err
    assert "Traceback" not in ran.err
    assert MANIFEST not in site.stored()
    tried = 1000 - site.proxy.faults[0].times
    assert tried <= 5 * 16, "attempts are bounded"
    stored = {key for key in site.stored() if key.startswith("a/")}
    site.proxy.faults = []
    assert site.publish().code == 0
    assert site.complete()
    again = {path.partition("/prefix/")[2] for method, path in site.proxy.requests if method == "PUT"}
    assert not again & stored, "what was there was not sent again"


def test_a_store_that_never_answers(site: Site) -> None:
    """Requests have a time limit, and so has the whole."""
    site.proxy.faults = [Fault("stall", times=1000)]
    begun = time.monotonic()
    ran = site.checkout.run("publish", site.place, "--endpoint-url", site.proxy.url, "--timeout", "0.3")
    assert ran.code == 34
    assert time.monotonic() - begun < 10


def test_nobody_listens(site: Site) -> None:
    """A store that is down is named."""
    ran = site.checkout.run("publish", site.place, "--endpoint-url", "http://127.0.0.1:9")
    assert ran.code == 34
    assert "refused" in ran.err


def test_a_bucket_that_does_not_exist(site: Site) -> None:
    """Nothing is stored anywhere: some stores would make the bucket."""
    ran = site.checkout.run("publish", "s3://no-such-bucket/x", "--endpoint-url", site.proxy.url)
    assert ran.code == 33
    assert "no-such-bucket" in ran.err
    assert site.proxy.count("PUT") == 0


def test_who_may_not_write(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with the right to read only."""
    for name, value in site.server.keys("reader").items():
        monkeypatch.setenv(name, value)
    ran = site.publish()
    assert ran.code == 32
    assert "docs/cdn.md" in ran.err


def test_a_wrong_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong keys are another matter than missing rights."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    ran = site.publish()
    assert ran.code == 31
    assert "SignatureDoesNotMatch" in ran.err


def test_no_credentials(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither keys nor files nor a role."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ran = site.publish()
    assert ran.code == 31
    assert "no credentials" in ran.err
    assert site.proxy.requests == []


def test_keys_from_a_file(site: Site, surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile of ~/.aws, as the AWS tools read it; a misspelt one is named."""
    (surroundings / ".aws").mkdir()
    keys = site.server.keys()
    (surroundings / ".aws" / "credentials").write_text(
        f"[cdn]\naws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {keys['AWS_SECRET_ACCESS_KEY']}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "cdn")
    monkeypatch.setenv("AWS_ENDPOINT_URL", site.proxy.url)
    assert site.checkout.run("publish", site.place).code == 0
    assert site.complete()
    monkeypatch.setenv("AWS_PROFILE", "cnd")
    ran = site.checkout.run("publish", site.place)
    assert ran.code == 31
    assert "cnd" in ran.err


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _sign_anew(dist: Path) -> None:
    """Make SHA256SUMS true of what is there."""
    names = [line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()]
    sums = [f"{hashlib.sha256((dist / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (dist / "SHA256SUMS").write_text("".join(sums))


def _other_asset(dist: Path) -> None:
    """An asset in the archive that is not what the manifest says, with true sums."""
    archive = dist / f"airflow-assets-{VERSION}.tar.gz"
    plain = gzip.decompress(archive.read_bytes())
    assert plain.count(b"// shared 0\n")
    archive.write_bytes(gzip.compress(plain.replace(b"// shared 0\n", b"// shaRed 0\n")))
    _sign_anew(dist)


def _other_manifest(dist: Path) -> None:
    path = dist / f"manifest-{VERSION}.json"
    changed = json.loads(path.read_text())
    del changed["assets"]["static/picture.png"]
    path.write_text(json.dumps(changed))
    _sign_anew(dist)


def _no_archive(dist: Path) -> None:
    archive = dist / f"airflow-assets-{VERSION}.tar.gz"
    archive.write_bytes(b"\x1f\x8b")
    _sign_anew(dist)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda dist: _cut(dist / f"airflow-assets-{VERSION}.tar.gz"),
        lambda dist: _cut(dist / f"manifest-{VERSION}.json"),
        lambda dist: (dist / f"manifest-{VERSION}.json").unlink(),
        lambda dist: (dist / "SHA256SUMS").unlink(),
        lambda dist: (dist / "SHA256SUMS").write_text(""),
        _other_asset,
        _other_manifest,
        _no_archive,
    ],
)
def test_a_tampered_dist(site: Site, tamper) -> None:  # type: ignore[no-untyped-def]
    """Nothing of a dist/ that is not what its sums and its manifest say is uploaded."""
    tamper(site.checkout.dist)
    ran = site.publish()
    assert ran.code == 30, ran.err
    assert "./build.py dist" in ran.err
    assert site.proxy.count("PUT") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("https://bucket/x",), ("s3:bucket/x",), ("s3://",), ("s3://UPPER/x",), ("s3://b/x",), ("s3://bucket/a//b",),
        ("s3://bucket/../b",), ("s3://bucket/a b",), ("s3://bucket/a%2Fb",), ("s3://bucket/ä",),
        ("s3://bucket/x", "--endpoint-url", "127.0.0.1:9"), ("s3://bucket/x", "--endpoint-url", "ftp://host"),
        ("s3://bucket/x", "--endpoint-url", "http://"), ("s3://bucket/x", "--endpoint-url", "http://h:99999"),
        ("s3://bucket/x", "--endpoint-url", "http://u:p@h"),
    ],
)  # fmt: skip
def test_what_is_no_place(site: Site, arguments: tuple[str, ...]) -> None:
    """A place or endpoint that cannot be one is refused before anything is asked."""
    ran = site.checkout.run("publish", *arguments)
    assert ran.code == 39, ran.err
    assert "Traceback" not in ran.err


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
