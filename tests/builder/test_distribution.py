"""Tests of builder.distribution: dist/ holds a whole build, or what it held before."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny_release import ROOT, WHEEL, Checkout

from builder.errors import AssetError, LockError, WheelError
from builder.workspace import file_sha256

OUTPUTS = {
    "SHA256SUMS",
    "airflow-assets-1.0+svc.1.tar.gz",
    "build.json",
    "constraints-1.0+svc.1-py3.11.txt",
    "manifest-1.0+svc.1.json",
    "report.html",
    "sbom.cdx.json",
    WHEEL,
}


def names(checkout: Checkout) -> set[str]:
    return {path.name for path in checkout.dist.iterdir()}


def test_what_comes_out(built: Checkout) -> None:
    """Every file of the contract, nothing else, and sums that `sha256sum` accepts."""
    assert names(built) == OUTPUTS
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=built.dist, check=True)
    sums = (built.dist / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in sums} == OUTPUTS - {"SHA256SUMS"}
    record = json.loads((built.dist / "build.json").read_text())
    assert record
    assert not list(built.root.glob("**/scratch-*"))


def test_a_current_dist_is_left_alone(built: Checkout) -> None:
    """A second run makes nothing, and says so."""
    before = {path.name: path.stat().st_mtime_ns for path in built.dist.iterdir()}
    ran = built.succeed("dist")
    assert ran.out == "dist/ is current: tiny-app 1.0+svc.1\n"
    assert ran.err == ""
    assert {path.name: path.stat().st_mtime_ns for path in built.dist.iterdir()} == before


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("patches/1.0/third-is-more.patch", "+    return 33", "+    return 34"),
        ("overlay/tiny_service/hooks.py", "welcome", "Welcome"),
        ("assets/1.0/rules.toml", "min_saved_bytes = 10", "min_saved_bytes = 11"),
    ],
)
def test_a_changed_input_makes_it_anew(built: Checkout, path: str, old: str, new: str) -> None:
    """A patch, a file of the overlay or a rule is noticed."""
    before = built.snapshot("dist")
    built.edit(path, old, new)
    built.succeed("dist")
    assert built.snapshot("dist") != before
    assert names(built) == OUTPUTS


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_an_output_that_is_not_as_it_was_made(built: Checkout, how: str) -> None:
    """An output that somebody changed or removed is made again."""
    before = built.snapshot("dist")
    if how == "changed":
        (built.dist / WHEEL).write_bytes(b"not a wheel")
    else:
        (built.dist / WHEEL).unlink()
    built.succeed("dist")
    assert built.snapshot("dist") == before


def test_an_older_builds_outputs_go_and_others_stay(built: Checkout) -> None:
    """A new revision leaves no wheel of the old one behind, and nobody else's files are touched."""
    foreign = built.dist / "notes-1.0+svc.1.txt"
    foreign.write_text("mine")
    (built.dist / "folder").mkdir()
    built.edit("patches/1.0/upstream.toml", "revision = 1", "revision = 2")
    built.succeed("dist")
    assert names(built) == {name.replace("svc.1", "svc.2") for name in OUTPUTS} | {foreign.name, "folder"}
    assert foreign.read_text() == "mine"
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=built.dist, check=True)


def test_a_wheelhouse_of_another_build_goes(built: Checkout) -> None:
    """What pip installs from dist/ without an index is never an older wheel, or one of another lock."""
    lock = built.patches / "constraints-py3.11.txt"

    def make(python: str, lock_sha256: str) -> Path:
        house = built.dist / f"wheelhouse-py{python}"
        house.mkdir()
        shutil.copy(built.dist / WHEEL, house)
        (house / "requirements.txt").write_text(f"# lock: sha256:{lock_sha256}\n")
        return house

    current, unsupported = make("3.11", file_sha256(lock)), make("3.10", file_sha256(lock))
    # Made anew, and the same bytes as before.
    (built.dist / "report.html").unlink()
    built.succeed("dist")
    assert current.is_dir()
    assert not unsupported.exists()
    with lock.open("a") as file:
        file.write("# another lock\n")
    built.succeed("dist")
    assert not current.exists()
    current = make("3.11", file_sha256(lock))
    built.edit("overlay/tiny_service/hooks.py", "welcome", "Welcome")
    built.succeed("dist")
    assert names(built) == OUTPUTS


@pytest.mark.parametrize(
    "lines",
    [f"{'0' * 64}  ../precious\n{'0' * 64}  /tmp/precious", "garbage\n\udcff"],
    ids=["out", "garbage"],
)
def test_sums_that_are_not_ours_remove_nothing(built: Checkout, lines: str) -> None:
    """A SHA256SUMS that was edited or cut short can neither stop a build nor reach out of dist/."""
    precious = built.root / "precious"
    precious.write_text("x")
    (built.dist / "SHA256SUMS").write_bytes(lines.encode("utf-8", "surrogateescape") + b"\n")
    built.succeed("dist")
    assert precious.exists()
    assert names(built) == OUTPUTS


FAILURES = {
    "patch": ("patches/1.0/third-is-more.patch", "-    return 3\n", "-    return 3.0\n", 16),
    "hook": ("overlay/tiny_service/hooks.py", "import home", "import house", 18),
    "asset": (
        "assets/1.0/rules.toml",
        "max_file_bytes = 100_000",
        "max_file_bytes = 10",
        AssetError.exit_code,
    ),
    "lock": ("patches/1.0/constraints-py3.11.txt", "# input: ", "# input: 0", LockError.exit_code),
    "setup": ("patches/1.0/say-the-version.patch", '["VERSION"],', '["NOTHING"],', WheelError.exit_code),
    "files": (
        "patches/1.0/upstream.toml",
        "wheel_without = []",
        'wheel_without = ["tiny_app/"]',
        WheelError.exit_code,
    ),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_build_leaves_the_old_one_whole(built: Checkout, kind: str) -> None:
    """Wherever a build stops, dist/ is what it was, and the next good build goes on."""
    path, old, new, code = FAILURES[kind]
    before = built.snapshot("dist")
    built.edit(path, old, new)
    ran = built.run("dist")
    assert ran.code == code, ran.err
    assert ran.err.splitlines()[-1].startswith(("next: ", "usual cause: ")) or "error: " in ran.err
    assert built.snapshot("dist") == before
    assert not list(built.root.glob("**/scratch-*"))
    built.edit(path, new, old)
    built.succeed("dist")
    assert built.snapshot("dist") == before


@pytest.mark.parametrize("target", ["/nowhere", "/etc"])
def test_a_link_to_nothing_is_told_as_one(built: Checkout, target: str) -> None:
    """To find out whether dist/ is current does not stumble over what the build would refuse."""
    before = built.snapshot("dist")
    (built.root / "overlay" / "tiny_service" / "link.py").symlink_to(target)
    ran = built.run("dist")
    assert ran.code == 17
    assert "link.py: a symbolic link" in ran.err
    assert built.snapshot("dist") == before


def test_a_path_with_spaces_and_other_letters(built: Checkout, tmp_path: Path) -> None:
    """The same bytes come out of a checkout that is somewhere else entirely."""
    before = built.snapshot("dist")
    moved = Checkout(tmp_path / "mein Büro" / "it's 'here' $HOME 日本")
    moved.root.parent.mkdir()
    built.root.rename(moved.root)
    moved.succeed("clean")
    for path in moved.dist.iterdir():
        path.unlink()
    moved.succeed("dist")
    assert moved.snapshot("dist") == before
    moved.succeed("check")


def test_one_verb_alone(built: Checkout) -> None:
    """`wheel` and `assets` make the same files as `dist`, and leave dist/ alone."""
    before = built.snapshot("dist")
    made = Path(built.succeed("wheel").out.splitlines()[0])
    assert made.parent == built.line
    assert made.read_bytes() == before[f"dist/{WHEEL}"]
    archive = Path(built.succeed("assets").out.strip())
    assert archive.read_bytes() == before[f"dist/{archive.name}"]
    assert built.snapshot("dist") == before


def test_nothing_of_this_machine_is_in_the_outputs(built: Checkout, built_once: Path) -> None:
    """No output names the checkout that it was made in, or this one."""
    for name, raw in built.snapshot("dist").items():
        for place in (built_once, ROOT):
            assert str(place).encode() not in raw, name
