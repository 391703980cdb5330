"""Tests of builder.lock and builder.wheelhouse: dependencies pinned with hashes, and collected."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_release import DEPENDENCY, WHEEL, Checkout, FakeIndex, wheel

from builder.errors import LockError, UnsuitablePython
from builder.lock import LockedRequirement, index_options, is_current, lock_input, read_lock, uv_environment
from builder.pip import IndexSettings
from builder.wheelhouse import find_interpreter

HASH = "sha256:" + "0" * 64


@pytest.mark.slow
def test_a_lock_is_made_from_the_wheel(built: Checkout, index: FakeIndex) -> None:
    """`lock` resolves what the wheel asks for, with hashes, from the index that pip is set up for."""
    path = built.patches / "constraints-py3.11.txt"
    path.unlink()
    assert built.run("dist").code == LockError.exit_code == 21
    assert built.succeed("lock").out == "patches/1.0/constraints-py3.11.txt\n"
    [found] = read_lock(path)
    sha256 = hashlib.sha256(index.projects["tiny-dep"][DEPENDENCY]).hexdigest()
    assert found == LockedRequirement("tiny-dep", "1.0", (f"sha256:{sha256}",), found.via)
    assert index.url not in path.read_text()
    assert str(built.root) not in path.read_text()
    built.succeed("dist")


@pytest.mark.slow
def test_a_lock_moves_only_when_it_is_told_to(built: Checkout, index: FakeIndex) -> None:
    """A newer version is taken with --upgrade, and not before."""
    path = built.patches / "constraints-py3.11.txt"
    index.projects["tiny-dep"]["tiny_dep-1.5-py3-none-any.whl"] = wheel(
        "tiny_dep", "1.5", {"tiny_dep.py": b""}
    )
    built.succeed("lock")
    assert "tiny-dep==1.0 " in path.read_text()
    built.succeed("lock", "--upgrade")
    assert "tiny-dep==1.5 " in path.read_text()


def test_uvs_variables_have_no_say(
    built: Checkout, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user's shell has set for uv does not change the lock; how to reach an index stays."""
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2001-01-01")
    monkeypatch.setenv("UV_NO_BINARY", "1")
    monkeypatch.setenv("UV_CONSTRAINT", "/no/such/file")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "60")
    built.succeed("lock", "--upgrade")
    assert "tiny-dep==1.0 " in (built.patches / "constraints-py3.11.txt").read_text()
    environment = uv_environment(IndexSettings(certificates="/own.pem"))
    assert {name for name in environment if name.startswith("UV_")} == {"UV_HTTP_TIMEOUT"}
    assert environment["SSL_CERT_FILE"] == "/own.pem"
    assert environment["PATH"]


def test_what_cannot_be_resolved(built: Checkout, index: FakeIndex) -> None:
    """The resolver's words are shown, and the lock stays as it was."""
    del index.projects["tiny-dep"]
    before = built.snapshot("patches")
    ran = built.run("lock", "--upgrade")
    assert ran.code == LockError.exit_code
    assert "tiny-dep" in ran.err
    assert "next: mend the ranges in setup.py" in ran.err
    assert built.snapshot("patches") == before


def test_a_lock_that_is_out_of_date(built: Checkout) -> None:
    """A patch of setup.py's requirements asks for a new lock, by name."""
    built.edit("patches/1.0/upstream.toml", "revision = 1", "revision = 2")
    built.edit("patches/1.0/constraints-py3.11.txt", "# input: ", "# input: 0")
    ran = built.run("dist")
    assert ran.code == LockError.exit_code
    assert "constraints-py3.11.txt was not made from the wheel's requirements" in ran.err
    assert "next: ./build.py lock" in ran.err


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("tiny-dep>=1", "is not a pin with hashes"),
        ("tiny-dep==1.0", "is not a pin with hashes"),
        (f"tiny-dep==1.0 \\\n    --hash={HASH.replace('0', 'x')}", "is not a pin with hashes"),
        ("tiny-dep==1.0 \\\n", "pins without hashes: tiny-dep"),
        ("-r other.txt", "is not a pin with hashes"),
    ],
)
def test_a_lock_without_hashes_is_refused(tmp_path: Path, line: str, fault: str) -> None:
    """A lock that was edited by hand is told with its line."""
    path = tmp_path / "lock.txt"
    path.write_text(f"# heading\n{line}\n")
    with pytest.raises(LockError, match=fault):
        read_lock(path)


def test_a_lock_is_read(tmp_path: Path) -> None:
    """Names, versions, markers, hashes and who asked for each."""
    path = tmp_path / "lock.txt"
    path.write_text(
        f"a-b==1.0 ; python_full_version < '3.12' \\\n    --hash={HASH} \\\n    --hash={HASH[:-1]}1\n"
        "    # via\n    #   c\n    #   viaduct\n"
        f"c==2 \\\n    --hash={HASH}\n    # via -r -\n"
    )
    first, second = read_lock(path)
    assert (first.name, first.version, first.marker) == ("a-b", "1.0", "python_full_version < '3.12'")
    assert first.hashes == (HASH, f"{HASH[:-1]}1")
    assert first.via == ("c", "viaduct")
    assert (second.name, second.via) == ("c", ())
    with pytest.raises(LockError, match="is missing"):
        read_lock(tmp_path / "gone.txt")
    assert not is_current(path, ["a"])
    assert not is_current(tmp_path / "gone.txt", [])


def test_extras_choose_requirements() -> None:
    """Only the extras that the release names count."""
    lines = ["a>=1", 'b; extra == "x"', 'c; extra == "y"', "a>=1"]
    assert lock_input(lines, [], "3.11") == ["a>=1"]
    assert lock_input(lines, ["x"], "3.11") == ["a>=1", "b"]


@pytest.mark.parametrize(("python", "wanted"), [("3.9", ["old"]), ("3.12", []), ("3.99", ["new"])])
def test_the_target_python_chooses_requirements(python: str, wanted: list[str]) -> None:
    """A lock is for its own Python, whichever one makes it."""
    lines = ['new; python_version >= "3.13" and extra == "x"', "old; python_full_version < '3.10'"]
    assert lock_input(lines, ["x"], python) == wanted


def test_pips_settings_are_given_to_the_resolver() -> None:
    """The resolver asks the same places as pip, and reads no configuration of its own."""
    settings = IndexSettings("http://i/", ("http://e/",), ("/f",), ("h",))
    assert index_options(settings) == [
        "--no-config", "--index-strategy=unsafe-best-match", "--index-url=http://i/", "--extra-index-url=http://e/",
        "--find-links=/f", "--allow-insecure-host=h",
    ]  # fmt: skip
    assert "--no-index" in index_options(IndexSettings(no_index=True))


@pytest.mark.slow
def test_a_wheelhouse_installs_without_network(
    built: Checkout, index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds every wheel and a list with hashes, from which pip installs with no index at all."""
    house = built.dist / "wheelhouse-py3.11"
    assert built.succeed("wheelhouse", "--python", "3.11").out.splitlines()[-1] == str(house)
    assert {path.name for path in house.iterdir()} == {WHEEL, DEPENDENCY, "requirements.txt"}
    (house / "stray.whl").write_text("x")
    built.succeed("wheelhouse", "--python", "3.11")
    assert not (house / "stray.whl").exists()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links={house}"]
    command += [
        "--require-hashes",
        f"--requirement={house}/requirements.txt",
        f"--target={tmp_path / 'target'}",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "target" / "tiny_service" / "hooks.py").is_file()


@pytest.mark.slow
def test_a_wheel_that_is_gone_leaves_the_old_wheelhouse(built: Checkout, index: FakeIndex) -> None:
    """The folder is replaced when the new one is whole, and not before."""
    house = built.dist / "wheelhouse-py3.11"
    house.mkdir()
    (house / "old.txt").write_text("old")
    index.projects.pop("tiny-dep")
    ran = built.run("wheelhouse", "--python", "3.11")
    assert ran.code == LockError.exit_code
    assert "tiny-dep" in ran.err
    assert [path.name for path in house.iterdir()] == ["old.txt"]
    assert not list(built.dist.glob("scratch-*"))


@pytest.mark.parametrize("python", ["3.99", "nonsense", "3"])
def test_a_python_that_is_not_here(built: Checkout, python: str) -> None:
    """A wheelhouse for a Python that is not installed ends with 24 and says how to get on."""
    ran = built.run("wheelhouse", "--python", python)
    assert ran.code == UnsuitablePython.exit_code == 24, ran.err
    assert f"is not made for Python {python}" in ran.err
    assert "known: 3.11" in ran.err
    assert not list(built.dist.glob("wheelhouse*"))


def test_a_supported_python_that_is_not_installed() -> None:
    """The message says why it takes that very Python."""
    with pytest.raises(UnsuitablePython, match=r"there is no Python 3\.99 here"):
        find_interpreter("3.99")


def test_the_running_python_is_found_at_once() -> None:
    """No search is needed for the version that runs."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert Path(find_interpreter(running)).exists()
