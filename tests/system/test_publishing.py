"""The built bundle on its way to a browser: `make upload`, the store, a CDN, `verify`, `prune`."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import requests
from harness.cdn import cdn, published_cdn
from harness.environments import BASE_PYTHON, build, release, run
from harness.made import ROOT, exclusively
from harness.s3 import S3Server

from builder.cdn_client import Cdn
from builder.manifest import Manifest
from builder.verify import verify

pytestmark = pytest.mark.slow


def test_from_make_to_the_cdn(dist: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What operators type, on the real bundle: published, nothing to do, verified, nothing to prune."""
    for name, value in {**s3.keys(), "AWS_ENDPOINT_URL": s3.url}.items():
        monkeypatch.setenv(name, value)
    bucket = s3.bucket()
    make = ["make", "--no-print-directory", f"PYTHON={BASE_PYTHON}", "upload", f"TO=s3://{bucket}/assets"]
    with exclusively("build"):
        assert "published" in run(make)
        assert "nothing to do" in run(make)
    with cdn(s3, bucket) as origin:
        assert "as published" in build("verify", origin.url)
    assert "nothing to remove" in build("prune", f"s3://{bucket}/assets", "--yes")


def test_both_ways_to_compress(dist: Path, s3: S3Server) -> None:
    """The real bundle stands its check, compressed on the way and from the stored variants; the latter are smaller."""
    manifest = Manifest.load((dist / f"manifest-{release().full_version}.json").read_bytes())
    largest = max(
        (one for one in manifest.assets.values() if "br" in one.encodings), key=lambda one: one.size
    )
    sizes = {}
    for variants in (False, True):
        with published_cdn(s3, dist, release(), variants=variants) as origin:
            with closing(Cdn(origin.url, 10)) as client:
                verify(client, manifest.version, manifest)
            asked = requests.get(
                f"{origin.url}/a/{largest.name}",
                headers={"Accept-Encoding": "br, gzip"},
                stream=True,
                timeout=10,
            )
            with asked:
                sizes[variants] = len(asked.raw.read(decode_content=False))
    assert sizes[True] < sizes[False] < largest.size


def test_help_names_the_verbs() -> None:
    """The three verbs are in --help, each with its own."""
    said = subprocess.run(
        [BASE_PYTHON, ROOT / "build.py", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for verb in ("publish", "verify", "prune"):
        assert f"    {verb} " in said
        assert "usage: " in run([BASE_PYTHON, ROOT / "build.py", verb, "--help"])
