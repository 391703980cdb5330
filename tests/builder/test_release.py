"""Tests of builder.release: pins are read whole, or refused with every fault at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publishing import START
from tiny_release import PATCHES, ROOT, Checkout, pins

from builder import release
from builder.errors import InvalidRelease, UnknownRelease
from builder.release import Release, load_release, select_release


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "upstream.toml").write_text(text, "utf-8")
    return folder


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidRelease) as caught:
        load_release(write(folder, text))
    return caught.value.detail.splitlines()


def test_the_real_release_is_read() -> None:
    """The pins of this checkout have no fault."""
    found = select_release(ROOT / "patches", None)
    assert found.full_version == f"{found.version}+svc.{found.revision}"
    assert found.wheel_name.endswith("-py3-none-any.whl")
    assert [source.role for source in found.sources if source.role == "tree"]


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    """A wrong value, a missing key and an unknown one are all told, each with its path."""
    text = pins().replace("revision = 1", "revision = 0").replace('package = "tiny_service"', "packages = 1")
    text = text.replace('role = "assets"', 'role = "decoration"')
    found = faults(tmp_path / "1.0", text)
    assert "revision: 0 is not a whole number from 1" in found
    assert "package: missing; expected a Python package's name" in found
    assert "packages: unknown key" in found
    assert "source[1].role: 'decoration' is not one of tree, assets, reference" in found
    assert "source: none has the role 'assets'" in found


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("format = 1", "format = 2", "format: 2 is not 1, the format that this builder reads"),
        ("format = 1", "format = true", "format: True is not 1"),
        ("default = true", 'default = "yes"', "default: 'yes' is not true or false"),
        ('version = "1.0"', 'version = "1.0+svc.1"', "version: '1.0+svc.1' is not a version"),
        ('version = "1.0"', 'version = "9.9"', "version: '9.9' is not the directory's name, '1.0'"),
        ('python = ["3.11"]', 'python = "3.11"', "python: '3.11' is not a list"),
        ('python = ["3.11"]', 'python = ["4.0"]', "python: ['4.0'] is not a list"),
        ("wheel_without = []", 'wheel_without = ["../x"]', "wheel_without: ['../x'] is not a list"),
        ("size = ", "size = -", "size: -"),
        ('file = "tiny-app', 'file = "../tiny-app', "source[0].file: '../tiny-app"),
        (
            'file = "tiny_admin-2.0',
            'file = "tiny_app-1.0',
            "source: tiny_app-1.0-py3-none-any.whl is pinned twice",
        ),
        ('sha256 = "', 'sha256 = "G', "source[0].sha256: 'G"),
        (
            'role = "tree"',
            'role = "tree"\ninto = "/etc"',
            "source[0].into: '/etc' is not a folder in the tree",
        ),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    """The fault says which key, what stands there, and what was expected."""
    text = pins()
    assert old in text
    found = faults(tmp_path / "1.0", text.replace(old, new, 1))
    assert any(fault in line for line in found), found


@pytest.mark.parametrize("value", ["1", "[1]", '["text"]', "[]", "true"])
def test_sources_that_are_no_tables_are_a_fault(tmp_path: Path, value: str) -> None:
    """`source` must be one or more tables, whatever TOML allows there."""
    text = pins().partition("\n[[source]]")[0] + f"\nsource = {value}\n"
    assert any("source: " in line for line in faults(tmp_path / "1.0", text))


@pytest.mark.parametrize("text", ["= = =", '"\\ud800"', "format = 1\nformat = 1\n"])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    """A file that cannot be parsed is named, with the place of the mistake."""
    with pytest.raises(InvalidRelease, match="is not TOML"):
        load_release(write(tmp_path / "1.0", text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is a fault of the file, not a crash."""
    folder = write(tmp_path / "1.0", "")
    (folder / "upstream.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(InvalidRelease, match="is not TOML"):
        load_release(folder)


def test_a_missing_pin_file_is_named(tmp_path: Path) -> None:
    """A directory without upstream.toml is no release."""
    with pytest.raises(InvalidRelease, match="is missing"):
        load_release(tmp_path)


def test_an_unknown_release_has_its_own_exit_code(checkout: Checkout) -> None:
    """`--release 7.7` ends with 10, names the known ones, and writes nothing."""
    before = checkout.snapshot("patches", "docs", ".build", "dist")
    ran = checkout.run("dist", "--release", "7.7")
    assert ran.code == UnknownRelease.exit_code == 10
    assert "there is no release '7.7'" in ran.err
    assert "known: 1.0" in ran.err
    assert "next: name one with --release" in ran.err
    assert checkout.snapshot("patches", "docs", ".build", "dist") == before


@pytest.mark.parametrize(("defaults", "count"), [((False, False), 0), ((True, True), 2)])
def test_exactly_one_release_is_the_default(tmp_path: Path, defaults: tuple[bool, bool], count: int) -> None:
    """Without --release, none or two defaults are a fault that says what to do."""
    for version, default in zip(("1.0", "1.1"), defaults, strict=True):
        write(tmp_path / version, pins(version, default=default))
    with pytest.raises(UnknownRelease, match=f"{count} releases are marked default") as caught:
        select_release(tmp_path, None)
    assert "known: 1.0, 1.1" in caught.value.detail


def test_another_releases_fault_is_no_obstacle(tmp_path: Path) -> None:
    """With --release, only that release's file is read."""
    write(tmp_path / "1.0", pins())
    write(tmp_path / "1.1", "broken")
    assert select_release(tmp_path, "1.0").version == "1.0"


def test_an_invalid_release_has_its_own_exit_code(checkout: Checkout) -> None:
    """A malformed pin file ends with 11, and names the file."""
    checkout.edit("patches/1.0/upstream.toml", "revision = 1", "revision = 'one'")
    ran = checkout.run("patch")
    assert ran.code == InvalidRelease.exit_code == 11
    assert "upstream.toml has 1 fault" in ran.err
    assert not checkout.line.exists()
    assert checkout.series == list(PATCHES)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
_VALID = tomllib.loads(pins())


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """The made-up release's pins with a few values replaced, dropped or added."""
    data: dict[str, Any] = tomllib.loads(pins())
    for _ in range(draw(st.integers(1, 4))):
        table = (
            draw(st.sampled_from([data, *(s for s in data.get("source", []) if isinstance(s, dict))]))
            if isinstance(data.get("source"), list)
            else data
        )
        key = draw(st.sampled_from(sorted(_VALID) + sorted(_VALID["source"][0])) | st.text(max_size=8))
        if draw(st.booleans()):
            table[key] = draw(_VALUES)
        else:
            table.pop(key, None)
    return data


@given(
    damaged() | st.dictionaries(st.sampled_from(sorted(_VALID)) | st.text(max_size=8), _VALUES, max_size=8)
)
def test_no_table_crashes_the_reader(data: dict[str, Any]) -> None:
    """Whatever TOML can hold gives a release, or InvalidRelease with a line for each fault."""
    found: Release | None = None
    fault = ""
    with mock.patch.object(release.tomllib, "loads", return_value=data):
        try:
            found = load_release(ROOT / "patches" / "1.10.15")
        except InvalidRelease as error:
            fault = error.detail
    assert (found is None) == bool(fault)


def _without_privileges() -> list[str]:
    """What makes root one whom permissions bind; nothing for others."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root reads everything, and setpriv is not installed")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(
    ("closed", "code"),
    [("patches", 11), ("patches/1.0", 11), ("patches/1.0/upstream.toml", 11), (f"patches/1.0/{PATCHES[0]}", 22)],
)
def test_what_may_not_be_read_is_named(checkout: Checkout, closed: str, code: int) -> None:
    """A checkout by another user, or under a narrow umask: no traceback, and no release that is not there."""
    place = checkout.root / closed
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        done = subprocess.run(
            [*_without_privileges(), sys.executable, "-c", START, str(checkout.root), "patch"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        place.chmod(mode)
    assert done.returncode == code, done.stderr
    assert f"cannot {'be ' if code == 11 else ''}read" in done.stderr
    assert str(place) in done.stderr
    assert "Traceback" not in done.stderr
