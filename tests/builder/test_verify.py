"""Tests of builder.verify through a real nginx in front of a real S3 server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import brotli
import pytest
from harness.bundles import make_dist, sample_files
from harness.cdn import CdnOrigin, cdn
from harness.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from harness.s3 import S3Server
from publishing import MANIFEST, VERSION, Site
from tiny_release import Ran

from builder.manifest import Manifest


@pytest.fixture(scope="module")
def origin(s3: S3Server) -> Iterator[tuple[str, CdnOrigin]]:
    """A CDN over a bucket that each test fills anew."""
    bucket = s3.bucket()
    with cdn(s3, bucket, "some/prefix") as running:
        yield bucket, running


@pytest.fixture
def front(origin: tuple[str, CdnOrigin]) -> Iterator[FaultyProxy]:
    """A proxy in front of the CDN, whose faults are the CDN's."""
    with faulty_proxy(origin[1].url) as proxy:
        yield proxy


@pytest.fixture
def served(site: Site, origin: tuple[str, CdnOrigin], front: FaultyProxy) -> Site:
    """A published bundle behind the CDN."""
    client = site.server.client()
    for key in site.server.objects(origin[0]):
        client.delete_object(Bucket=origin[0], Key=key)
    site.bucket = origin[0]
    assert site.publish().code == 0
    return site


def verify(site: Site, url: str, *more: str) -> Ran:
    return site.checkout.run("verify", url, "--timeout", "5", *more)


def replace(site: Site, key: str, content: bytes | None = None, **headers: str) -> None:
    """Store an object anew with other bytes or headers, as only somebody else would."""
    client: Any = site.server.client()
    at = {"Bucket": site.bucket, "Key": f"some/prefix/{key}"}
    head = client.head_object(**at)
    body = client.get_object(**at)["Body"].read() if content is None else content
    kept = {name: head[name] for name in ("ContentType", "CacheControl", "ContentEncoding") if name in head}
    client.put_object(**at, Body=body, **{**kept, **headers})


def key_of(site: Site, logical: str, suffix: str = "") -> str:
    manifest = Manifest.load((site.checkout.dist / f"manifest-{VERSION}.json").read_bytes())
    return f"a/{manifest.assets[logical].name}{suffix}"


def test_what_was_published_is_verified(served: Site, front: FaultyProxy) -> None:
    """Every object is asked for, from another origin too, and nothing is wrong."""
    ran = verify(served, front.url)
    assert ran.code == 0, ran.err
    assert "as published" in ran.out
    asked = {path for _, path in front.requests}
    assert asked == {f"/{key}" for key in served.stored()}


def test_without_a_dist(served: Site, front: FaultyProxy) -> None:
    """The CDN's own manifest is believed then, and that is said; --dist asks for one."""
    shutil.rmtree(served.checkout.dist)
    ran = verify(served, front.url)
    assert ran.code == 0, ran.err
    assert "was believed" in ran.out
    assert verify(served, front.url, "--dist", str(served.checkout.dist)).code == 30
    assert verify(served, front.url, "--version", "2.0+svc.9").code == 38


def test_stored_variants_chosen_by_the_cdn(served: Site) -> None:
    """A CDN that hands out the .br and .gz objects by Accept-Encoding is as good."""
    with cdn(served.server, served.bucket, "some/prefix", variants=True) as running:
        ran = verify(served, running.url)
        assert ran.code == 0, ran.err


def test_a_cdn_without_cors(served: Site) -> None:
    """Browsers would refuse every script: each asset is named."""
    with cdn(served.server, served.bucket, "some/prefix", cors=False) as running:
        ran = verify(served, running.url)
    assert ran.code == 38
    assert len(re.findall(r"Access-Control-Allow-Origin is ''", ran.err)) == len(sample_files())


@pytest.mark.parametrize(
    ("logical", "suffix", "change", "words"),
    [
        ("static/picture.png", "", {"content": b"other"}, "other bytes"),
        ("static/picture.png", "", {"ContentType": "text/plain"}, "Content-Type is 'text/plain'"),
        ("static/shared0.js", "", {"ContentType": "text/javascript"}, "Content-Type"),
        ("static/picture.png", "", {"CacheControl": "no-cache"}, "Cache-Control is 'no-cache'"),
        ("static/picture.png", "", {"CacheControl": "public, max-age=31536000"}, "Cache-Control"),
        ("static/picture.png", "", {"CacheControl": "public, max-age=3600, immutable"}, "Cache-Control"),
        ("static/shared0.js", ".br", {"content": b"no brotli"}, "cannot be decoded"),
        ("static/shared0.js", ".br", {"content": brotli.compress(b"other")}, "other bytes"),
        ("static/shared0.js", ".gz", {"ContentEncoding": ""}, "Content-Encoding is"),
        ("static/shared0.js", "", {"ContentEncoding": "br"}, "although that was not accepted"),
    ],
)
def test_an_object_that_is_not_as_published(
    served: Site, front: FaultyProxy, logical: str, suffix: str, change: dict[str, Any], words: str
) -> None:
    """Whatever was changed in the store is named, with its object, and nothing else is."""
    key = key_of(served, logical, suffix)
    replace(served, key, **change)
    ran = verify(served, front.url)
    assert ran.code == 38, ran.out
    faults = [line for line in ran.err.splitlines() if line.startswith("    ")]
    assert faults
    assert all(key in fault for fault in faults)
    assert words in ran.err


def test_every_fault_is_listed(served: Site, front: FaultyProxy) -> None:
    """Not only the first: a missing asset, a missing variant and a wrong type at once."""
    client = served.server.client()
    gone, variant = key_of(served, "static/shared0.js"), key_of(served, "static/shared1.js", ".gz")
    for key in (gone, variant):
        client.delete_object(Bucket=served.bucket, Key=f"some/prefix/{key}")
    wrong = key_of(served, "static/own0.css")
    replace(served, wrong, ContentType="text/html")
    ran = verify(served, front.url)
    assert ran.code == 38
    for key in (gone, variant, wrong):
        assert f"    {key}: " in ran.err


def test_another_machines_variant_is_no_fault(served: Site, front: FaultyProxy) -> None:
    """Other compressed bytes of the same content: told, but no fault."""
    key = key_of(served, "static/shared0.js")
    content = served.stored()[key]
    replace(served, f"{key}.br", brotli.compress(content, quality=1))
    ran = verify(served, front.url)
    assert ran.code == 0, ran.err
    assert "another machine's compressor" in ran.out


def test_manifests(served: Site, front: FaultyProxy) -> None:
    """A missing manifest, a truncated one, one of another build, and one that is cached for long."""
    replace(served, MANIFEST, CacheControl="public, max-age=31536000, immutable")
    assert "would hide" in verify(served, front.url).err
    whole = served.stored()[MANIFEST]
    replace(served, MANIFEST, whole[:-50], CacheControl="no-cache")
    assert "is not JSON" in verify(served, front.url).err
    make_dist(served.checkout.dist, {**sample_files(), "new.js": b"// new\n" * 99})
    replace(served, MANIFEST, whole)
    assert "not the manifest that dist/ holds" in verify(served, front.url).err
    served.server.client().delete_object(Bucket=served.bucket, Key=f"some/prefix/{MANIFEST}")
    ran = verify(served, front.url)
    assert ran.code == 38
    assert f"{MANIFEST}: 404" in ran.err


def test_what_a_cdn_does_wrong(served: Site, front: FaultyProxy) -> None:
    """An error page, a redirect, no compression."""
    front.faults = [Fault("503 SlowDown", path="picture", times=1000)]
    assert "503" in verify(served, front.url).err
    front.faults = [Fault("301 PermanentRedirect", path="picture", times=1000)]
    assert "a redirect to" in verify(served, front.url).err
    front.faults = []
    plain = f"{served.server.url}/{served.bucket}/some/prefix"
    ran = verify(served, plain)
    assert "comes uncompressed" in ran.err
    assert "comes uncompressed" not in verify(served, plain, "--allow-uncompressed").err


def test_a_line_that_breaks(served: Site, front: FaultyProxy) -> None:
    """A connection that breaks now and then is no fault of the CDN's; one that always does is told."""
    front.faults = [Fault("lost", path="own", times=2), Fault("truncated", path="shared", times=2)]
    assert verify(served, front.url).code == 0
    assert [fault.times for fault in front.faults] == [0, 0]
    front.faults = [Fault("lost", times=1000)]
    assert verify(served, front.url).code == 34
    assert verify(served, "http://127.0.0.1:9").code == 34


@pytest.mark.parametrize(
    "url",
    [
        "cdn.example",
        "//cdn.example",
        "ftp://cdn.example",
        "http://u:p@cdn.example",
        "http://h/?q",
        "http://h:x",
    ],
)
def test_what_is_no_url(site: Site, url: str) -> None:
    """What could not be a cdn_url is refused."""
    assert verify(site, url).code == 39
