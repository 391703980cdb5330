"""Tests of builder.wheel: what is in the wheel, why it differs from upstream's, and its metadata."""

from __future__ import annotations

import base64
import csv
import email
import hashlib
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from tiny_release import REFERENCE, REQUIRES, WHEEL, Checkout, release_files, wheel

from builder.bundle import Bundle
from builder.errors import WheelError
from builder.manifest import Manifest
from builder.release import load_release
from builder.series import load_series
from builder.wheel import WheelDifference, check_files, compare, file_list, unexplained
from builder.wheel_assets import pack

FOLDER = "tiny_app-1.0+svc.1.dist-info"
# What the bundle has under hashed names.
ORIGINALS = {f"tiny_app/static/{name}" for name in ("dot.svg", "main.css", "main.js")}


def metadata(path: Path) -> email.message.Message:
    with zipfile.ZipFile(path) as bundle:
        return email.message_from_bytes(bundle.read(f"{FOLDER}/METADATA"))


def test_the_wheels_files(built: Checkout) -> None:
    """Upstream's files, the overlay's, the generated module, the bundle, metadata; nothing of the build's."""
    files = file_list(built.dist / WHEEL)
    upstream = {name for name in file_list_of_reference() if "dist-info" not in name} - ORIGINALS
    ours = {"tiny_service/__init__.py", "tiny_service/hooks.py", "tiny_service/_version.py"}
    ours |= {"tiny_service/static/manifest.json"}
    ours |= {f"tiny_service/static/{name}" for name in bundled(built) if name.startswith("a/")}
    information = {
        "METADATA",
        "RECORD",
        "WHEEL",
        "top_level.txt",
        "licenses/LICENSE",
        "licenses/licenses/MODIFICATIONS.txt",
    }
    assert set(files) == upstream | ours | {f"{FOLDER}/{name}" for name in information}


def bundled(built: Checkout) -> dict[str, bytes]:
    """The members of the bundle in dist/."""
    with tarfile.open(built.dist / "airflow-assets-1.0+svc.1.tar.gz") as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]


def test_the_bundle_in_the_wheel(built: Checkout) -> None:
    """It is the one of dist/ to the byte, and what it was made from is not in the wheel a second time."""
    with zipfile.ZipFile(built.dist / WHEEL) as wheel_file:
        assert wheel_file.testzip() is None
        packed = {
            name.removeprefix("tiny_service/static/"): wheel_file.read(name)
            for name in wheel_file.namelist()
            if name.startswith("tiny_service/static/")
        }
        assert not ORIGINALS & set(wheel_file.namelist())
    archive = bundled(built)
    assert packed.pop("manifest.json") == archive.pop("manifests/1.0+svc.1.json")
    assert packed == archive


def test_the_record_names_every_file(built: Checkout) -> None:
    """RECORD, which installers check, has each file with its hash and size, and stands last."""
    with zipfile.ZipFile(built.dist / WHEEL) as wheel_file:
        *names, record = wheel_file.namelist()
        rows = list(csv.reader(wheel_file.read(record).decode().splitlines()))
        assert [row[0] for row in rows] == [*names, record]
        for name, digest, size in rows[:-1]:
            content = wheel_file.read(name)
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={sha256}", len(content))
        assert rows[-1][1:] == ["", ""]
    assert len(set(names)) == len(names)


def test_a_wheel_with_files_in_the_bundles_place(checkout: Checkout, tmp_path: Path) -> None:
    """The build refuses to write over them."""
    made = tmp_path / "made.whl"
    made.write_bytes(wheel("tiny_app", "1.0", {"tiny_service/static/a/x.js": b""}))
    bundle = Bundle(made, made, Manifest("1", {}), {}, {"a/x.js": b"x"}, frozenset())
    with pytest.raises(WheelError, match="in the place of the asset bundle's"):
        pack(made, bundle, load_release(checkout.patches))


def file_list_of_reference() -> list[str]:
    with zipfile.ZipFile(io.BytesIO(release_files()["tiny-app"][REFERENCE])) as bundle:
        return bundle.namelist()


def test_the_metadata(built: Checkout) -> None:
    """Name, version, Python and requirements are the patched setup.py's."""
    found = metadata(built.dist / WHEEL)
    assert found["Name"] == "tiny-app"
    assert found["Version"] == "1.0+svc.1"
    assert found["Requires-Python"] == ">=3.8"
    assert found.get_all("Requires-Dist") == [REQUIRES]


def test_changes_are_stated(built: Checkout) -> None:
    """The licence asks that changed files say so: each is named with its patches."""
    with zipfile.ZipFile(built.dist / WHEEL) as bundle:
        text = bundle.read(f"{FOLDER}/licenses/licenses/MODIFICATIONS.txt").decode()
    assert "tiny-app 1.0+svc.1 is a modified version of tiny-app 1.0" in text
    assert "tiny_app/core.py: greet-politely.patch\n" in text
    assert "setup.py: say-the-version.patch\n" in text


def test_modes_and_times_are_fixed(built: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a strict umask the wheel's files can still be read by all, and its bytes are the same."""
    before = (built.dist / WHEEL).read_bytes()
    built.succeed("clean")
    umask = os.umask(0o077)
    try:
        made = Path(built.succeed("wheel").out.splitlines()[0])
    finally:
        os.umask(umask)
    with zipfile.ZipFile(made) as bundle:
        for member in bundle.infolist():
            assert stat.S_IMODE(member.external_attr >> 16) in (0o644, 0o664, 0o755), member.filename
            assert member.date_time[:3] == (2017, 7, 14)
    assert made.read_bytes() == before
    assert stat.S_IMODE(made.stat().st_mode) == 0o644


def test_the_difference_is_shown(built: Checkout) -> None:
    """The difference from upstream's wheel is counted and shown."""
    out = built.succeed("wheel").out
    assert "against upstream's wheel: 12 files added, 3 removed, 6 changed, 3 the same" in out, out


@pytest.mark.parametrize(
    ("path", "old", "new", "shown"),
    [
        (
            "say-the-version.patch",
            '["VERSION"],',
            '["VERSION"] + "1",',
            "not tiny_app-1.0+svc.1-py3-none-any.whl",
        ),
        ("say-the-version.patch", '["VERSION"],', '["VERSION"] + oops(),', "NameError"),
    ],
)
def test_a_setup_py_that_is_broken(checkout: Checkout, path: str, old: str, new: str, shown: str) -> None:
    """What setuptools said is shown, or what it made instead; 19, and no wheel."""
    checkout.edit(f"patches/1.0/{path}", old, new)
    ran = checkout.run("wheel")
    assert ran.code == WheelError.exit_code == 19
    assert shown in ran.err
    assert not list(checkout.line.glob("*.whl"))


def difference(**changed: tuple[str, ...]) -> WheelDifference:
    values = {"added": (), "removed": (), "changed": (), **changed}
    return WheelDifference(values["added"], values["removed"], values["changed"], 1)


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        ({"added": ("tiny_service/x.py", "tiny_service/_version.py", "dist-info/x")}, []),
        ({"added": ("tiny_service/x.py", "stray.py")}, ["added: stray.py"]),
        ({}, ["missing: tiny_service/x.py"]),
        ({"added": ("tiny_service/x.py",), "removed": ("tiny_app/core.py", "gone/a.py", "dist-info/y")}, []),
        (
            {"added": ("tiny_service/x.py",), "removed": ("tiny_app/words.txt",)},
            ["removed: tiny_app/words.txt"],
        ),
        ({"added": ("tiny_service/x.py",), "changed": ("tiny_app/core.py", "data/scripts/setup.py")}, []),
        (
            {"added": ("tiny_service/x.py",), "changed": ("tiny_app/words.txt",)},
            ["changed: tiny_app/words.txt"],
        ),
        (
            {"added": ("tiny_service/x.py",), "changed": ("gone/core.py",)},
            ["changed: gone/core.py", "not left out: gone/core.py"],
        ),
        ({"added": ("tiny_service/x.py",), "removed": ("tiny_app/main.css",)}, []),
    ],
)
def test_each_difference_needs_a_reason(
    checkout: Checkout, found: dict[str, tuple[str, ...]], faults: list[str]
) -> None:
    """A patch, a rule of the pins or an overlay file accounts for a difference; anything else is told."""
    checkout.edit("patches/1.0/upstream.toml", "wheel_without = []", 'wheel_without = ["gone/"]')
    release, series = load_release(checkout.patches), load_series(checkout.patches)
    assert unexplained(difference(**found), release, series, ["tiny_service/x.py"], {"tiny_app/main.css"}) == faults


def test_a_file_that_nobody_accounts_for_ends_the_build(checkout: Checkout, tmp_path: Path) -> None:
    """Package data that was lost on the way is found out by upstream's own wheel."""
    ours, theirs = tmp_path / "ours.whl", tmp_path / "theirs.whl"
    ours.write_bytes(wheel("tiny_app", "1.0", {"tiny_app/a.py": b"a"}))
    theirs.write_bytes(wheel("tiny_app", "2.0", {"tiny_app/a.py": b"a", "tiny_app/b.css": b"b"}))
    assert compare(ours, theirs).removed == ("tiny_app/b.css",)
    with pytest.raises(WheelError, match="1 files of the wheel differ") as caught:
        check_files(ours, theirs, load_release(checkout.patches), load_series(checkout.patches), [])
    assert caught.value.detail == "removed: tiny_app/b.css"


def test_the_back_end_is_left_alone(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, surroundings: Path
) -> None:
    """Neither the shell's settings nor files beside the build have a say in it."""
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "9")
    (surroundings / ".pydistutils.cfg").write_text("[bdist_wheel]\npython-tag = py2\n")
    (checkout.root / "setup.cfg").write_text("[bdist_wheel]\npython-tag = py2\n")
    (checkout.root / "setuptools.py").write_text("raise SystemExit('shadowed')\n")
    checkout.succeed("wheel")
