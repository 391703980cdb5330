"""Tests of builder.publish: a network and a store that fail, rights and keys that lack, and input that is wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from pathlib import Path

import pytest
from harness.faulty_proxy import Fault
from publishing import MANIFEST, VERSION, Site

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


@pytest.mark.parametrize(
    "config",
    [
        "[default]\nendpoint_url = {url}\n",
        "[default]\nservices = cdn\nendpoint_url = http://127.0.0.1:9\n[services cdn]\ns3 =\n  endpoint_url = {url}\n",
    ],
)
def test_the_endpoint_of_a_profile(site: Site, surroundings: Path, config: str) -> None:
    """`endpoint_url` of ~/.aws/config says which store, as it does for the AWS tools."""
    (surroundings / ".aws").mkdir()
    (surroundings / ".aws" / "config").write_text(config.format(url=site.proxy.url))
    ran = site.checkout.run("publish", site.place, "--timeout", "2")
    assert ran.code == 0, ran.err
    assert site.complete()


def test_no_request_outlasts_a_mark(site: Site) -> None:
    """A limit of an hour would let a publish go on when nobody believes its mark any more."""
    ran = site.checkout.run("publish", site.place, "--timeout", "301")
    assert ran.code == 2
    assert "--timeout" in ran.err


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
