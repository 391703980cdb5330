"""A checkout of the made-up release, away from the user's own pip, cache and git."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.bundles import make_dist, sample_files
from harness.faulty_proxy import faulty_proxy
from harness.s3 import S3Server
from hypothesis import settings
from publishing import Site
from tiny_release import Checkout, FakeIndex, fill_cache, make_checkout, release_files, serving

# Answers `-m pip config list` from the environment alone, a hundred times as fast as pip.
QUICK_PIP = r"""#!/bin/sh
exec awk 'BEGIN {
    for (name in ENVIRON) if (name ~ /^PIP_/) {
        key = tolower(substr(name, 5)); gsub("_", "-", key)
        printf ":env:.%s=\047%s\047\n", key, ENVIRON[name]
    }
}'
"""
# No deadline: a machine that does something else too is no bug.
settings.register_profile("build", deadline=None, max_examples=60)
settings.load_profile("build")


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME and a cache of the test's own, and a pip that is set up for nothing."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_", "XDG_", "GIT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    # Nothing listens there: a test that would ask the network fails at once.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    python = home / "python"
    python.write_text(QUICK_PIP, "utf-8")
    python.chmod(0o755)
    monkeypatch.setenv("BUILD_BASE_PYTHON", str(python))
    return home


@pytest.fixture
def real_pip(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter that runs the tests, and its pip, are the user's."""
    monkeypatch.delenv("BUILD_BASE_PYTHON")


@pytest.fixture
def empty_checkout(tmp_path: Path, surroundings: Path) -> Checkout:
    """A fresh checkout, with nothing downloaded."""
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def checkout(empty_checkout: Checkout, surroundings: Path) -> Checkout:
    """A fresh checkout, with every pinned file in the cache."""
    fill_cache(surroundings / "cache")
    return empty_checkout


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after `dist`, to be copied and never to be changed."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        fill_cache(folder / "cache")
        make_checkout(folder / "checkout").succeed("dist")
    return folder


@pytest.fixture
def built(tmp_path: Path, surroundings: Path, built_once: Path) -> Checkout:
    """A checkout after `dist`, of the test's own."""
    shutil.copytree(built_once / "cache", surroundings / "cache")
    shutil.copytree(built_once / "checkout", tmp_path / "checkout", symlinks=True)
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def patched(checkout: Checkout) -> Checkout:
    """A checkout after `patch`."""
    checkout.succeed("patch")
    return checkout


@pytest.fixture
def index(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIndex]:
    """A package index that the test's pip is set up for, by the environment."""
    with serving(FakeIndex(release_files())) as served:
        monkeypatch.setenv("PIP_INDEX_URL", f"{served.url}/simple")
        yield served


@pytest.fixture(scope="session")
def sample_dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    make_dist(folder, sample_files())
    return folder


@pytest.fixture
def site(
    tmp_path: Path, surroundings: Path, s3: S3Server, sample_dist: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in s3.keys().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("builder.store._FIRST_PAUSE", 0.02)
    checkout = make_checkout(tmp_path / "checkout")
    shutil.copytree(sample_dist, checkout.dist)
    with faulty_proxy(s3.url) as proxy:
        yield Site(checkout, s3, proxy, s3.bucket())
