"""Two builds in different surroundings give the same bytes: the made-up release, and the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_release import ROOT, Checkout, fill_cache, make_checkout, read_folder

CODE = "import os, sys\nfrom pathlib import Path\nfrom builder.cli import main\n"

# What may differ between two machines and must not show in what is built.
ONE = {"TZ": "UTC", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "1", "USER": "one"}
OTHER = {
    "TZ": "Pacific/Auckland",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "4242",
    "USER": "other",
    "SOURCE_DATE_EPOCH": "1",
    "PYTHONOPTIMIZE": "2",
    "SETUPTOOLS_USE_DISTUTILS": "local",
    "GIT_AUTHOR_NAME": "Nobody",
    "GZIP": "-1",
    "XZ_OPT": "-0",
}


def surrounded(home: Path, settings: dict[str, str]) -> dict[str, str]:
    """An environment with a HOME of its own, and none of this shell's settings."""
    home.mkdir(parents=True, exist_ok=True)
    kept = (
        "PATH",
        "PIP_CERT",
        "PIP_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_EXTRA_INDEX_URL",
        "PIP_CONFIG_FILE",
        "SSL_CERT_FILE",
    )
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "HOME": str(home), **settings}


@pytest.fixture
def made_up(tmp_path: Path) -> dict[str, bytes]:
    """A build of the made-up release under one set of surroundings."""
    return build_made_up(tmp_path / "one", ONE, 0o002)


def build_made_up(folder: Path, settings: dict[str, str], umask: int) -> dict[str, bytes]:
    umask_before = os.umask(umask)
    try:
        checkout = make_checkout(folder / "checkout")
        environment = surrounded(folder / "home", {**settings, "XDG_CACHE_HOME": str(folder / "cache")})
        fill_cache(folder / "cache")
        command = [
            sys.executable,
            "-c",
            f"{CODE}sys.exit(main(['dist'], Path(sys.argv[1])))",
            str(checkout.root),
        ]
        subprocess.run(command, cwd=ROOT, env=environment, umask=umask, check=True, capture_output=True)
    finally:
        os.umask(umask_before)
    return read_folder(checkout.dist)


@pytest.mark.slow
def test_the_made_up_release(made_up: dict[str, bytes], tmp_path: Path) -> None:
    """Another directory, umask, time zone, locale, hash seed, home and user change no byte of any output."""
    other = build_made_up(tmp_path / "ein ü, and spaces" / "deeper", OTHER, 0o077)
    assert sorted(other) == sorted(made_up)
    assert [name for name in made_up if other[name] != made_up[name]] == []


@pytest.mark.slow
def test_an_update_ends_like_a_fresh_build(built: Checkout) -> None:
    """What was built before does not show: an edit and its reversal give the first bytes again."""
    before = built.snapshot("dist")
    for old, new in (("+    return 33", "+    return 34"), ("+    return 34", "+    return 33")):
        built.edit("patches/1.0/third-is-more.patch", old, new)
        built.succeed("dist")
    assert built.snapshot("dist") == before


def copy_checkout(target: Path) -> None:
    """The files of this checkout that are, or would be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def real_build(folder: Path, settings: dict[str, str], umask: int, cache: Path) -> dict[str, str]:
    """Build the real release in a copy of this checkout; returns each output's sum."""
    copy_checkout(folder / "checkout")
    environment = surrounded(folder / "home", {**settings, "XDG_CACHE_HOME": str(folder / "cache")})
    # The user's pip stays set up as it is, although HOME is another one.
    for place in (".config/pip", ".pip", ".netrc"):
        if (Path.home() / place).exists():
            (folder / "home" / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / "home" / place).symlink_to(Path.home() / place)
    if cache.is_dir():
        shutil.copytree(cache, folder / "cache" / "airflow-service" / "downloads")
    done = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "build.py", "dist"],
        cwd=folder / "checkout", env=environment, umask=umask, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return sums_of(folder / "checkout" / "dist")


def sums_of(dist: Path) -> dict[str, str]:
    """Each output's sum, which is true."""
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=dist, check=True)
    sums = (dist / "SHA256SUMS").read_text("utf-8")
    return {name: sha256 for sha256, name in (line.split("  ", 1) for line in sums.splitlines())}


@pytest.mark.slow
def test_the_real_release(dist: Path, thorough: bool, tmp_path: Path) -> None:
    """The whole dist/ of the real release is the same, wheel, bundle, records and report, wherever it is built.

    One build is what the suite's other tests install, in this checkout and this shell's surroundings;
    with --thorough, a second one from nothing too.
    """
    from builder.workspace import cache_home

    cache = cache_home() / "downloads"
    one = real_build(tmp_path / "one", ONE, 0o002, cache) if thorough else sums_of(dist)
    other = real_build(tmp_path / "ein ü, and spaces" / "deeper", OTHER, 0o077, cache)
    assert len(one) >= 7
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == set()
