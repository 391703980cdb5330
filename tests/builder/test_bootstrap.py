"""Tests of build.py and builder.bootstrap: which Python runs, and in which environment."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_release import DEPENDENCY, ROOT, Checkout, FakeIndex, add_builder

from builder import bootstrap, make_environment


@pytest.fixture
def source(tmp_path: Path, surroundings: Path, index: FakeIndex, real_pip: None) -> Path:
    """A checkout whose build needs nothing but one small package."""
    checkout = Checkout(tmp_path / "mein Büro" / "checkout")
    add_builder(checkout)
    sha256 = hashlib.sha256(index.projects["tiny-dep"][DEPENDENCY]).hexdigest()
    (checkout.root / "requirements" / "build.txt").write_text(f"tiny-dep==1.0 --hash=sha256:{sha256}\n")
    (checkout.root / "builder" / "cli.py").write_text(
        "import os, sys, tiny_dep\n\ndef main():\n"
        "    print(tiny_dep.NAME, sys.prefix, os.environ['BUILD_BASE_PYTHON'])\n"
        "    return len(sys.argv) - 1\n"
    )
    return checkout.root


def build(root: Path, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "build.py"), *argv]
    return subprocess.run(command, cwd=cwd or root, capture_output=True, text=True, check=False)


def environments(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".build").glob("env-*"))


def test_the_environment_is_made_once(source: Path, index: FakeIndex, tmp_path: Path) -> None:
    """From the index that pip is set up for, then never again; from any folder; with the verb's own exit code."""
    done = build(source, "one", "two", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    name, prefix_and_python = done.stdout.split(" ", 1)
    assert name == "tiny-dep"
    assert str(source / ".build" / "env-build-py") in prefix_and_python
    assert prefix_and_python.rstrip().endswith(sys.executable)
    assert done.stderr == "making the build environment (once)\n"
    index.asked.clear()
    again = build(source)
    assert (again.returncode, again.stderr, again.stdout) == (0, "", done.stdout)
    assert index.asked == []


def test_what_starts_nothing_takes_the_packages_alone(source: Path) -> None:
    """Another interpreter would take longer than it; but packages of another place must not be in its way."""
    cli = "import sys, tiny_dep\ndef main():\n    print(sys.prefix, tiny_dep.__file__, sep='|')\n"
    (source / "builder" / "cli.py").write_text(cli)
    environment = str(source / ".build" / "env-build-py")
    for options, verb, replaced in ((["-S"], "publish", False), (["-S"], "dist", True), ([], "publish", True)):
        command = [sys.executable, *options, "build.py", verb]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
        prefix, package = done.stdout.split("|")
        assert package.startswith(environment)
        assert prefix.startswith(environment) == replaced


@pytest.mark.slow
def test_changed_requirements_make_another(source: Path) -> None:
    """An environment is known by its requirements; the old one goes once nobody can be running in it."""
    build(source)
    [before] = environments(source)
    mark = source / ".build" / before / "complete"
    path = source / "requirements" / "build.txt"
    path.write_text("# another comment\n" + path.read_text())
    os.utime(mark, (0, 0))
    # A start in it: somebody is at work there.
    ensure = "import sys; from builder import bootstrap; bootstrap.mark_used(bootstrap.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", ensure, str(mark)], cwd=source, check=True)
    assert build(source).returncode == 0
    [after] = {*environments(source)} - {before}
    assert mark.exists()
    os.utime(mark, (0, 0))
    path.write_text("# a third comment\n" + path.read_text())
    assert build(source).returncode == 0
    assert before not in environments(source)
    assert after in environments(source)


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    """Of the same name and Python only, and never one that was started within a day."""
    family = bootstrap.family("build")
    for name in (f"{family}1", f"{family}2", f"{family}3", "env-build-py38-1"):
        (tmp_path / name).mkdir()
    for name, used in ((f"{family}2", time.time()), (f"{family}3", 0.0)):
        (tmp_path / name / "complete").touch()
        os.utime(tmp_path / name / "complete", (used, used))
    make_environment._remove_abandoned("build", tmp_path / f"{family}4")
    assert {path.name for path in tmp_path.iterdir()} == {f"{family}2", "env-build-py38-1"}


def test_neither_pip_nor_ensurepip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a Debian without python3-venv: 24, the package's name, and nothing half-made."""

    def refuse(folder: Path, **_: object) -> None:
        (folder / "bin").mkdir(parents=True)
        raise subprocess.CalledProcessError(1, ["python", "-m", "ensurepip"])

    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "build.txt").write_text("")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(make_environment, "_has_pip", lambda _: False)
    monkeypatch.setattr(make_environment.venv, "create", refuse)
    with pytest.raises(SystemExit) as ended:
        bootstrap.ensure_environment("build")
    assert ended.value.code == 24
    assert "next: apt install python3-venv" in capsys.readouterr().err
    assert environments(tmp_path) == []


@pytest.mark.slow
def test_an_environment_that_was_cut_short_is_made_anew(source: Path) -> None:
    """What a killed run left is not used."""
    build(source)
    [name] = environments(source)
    folder = source / ".build" / name
    (folder / "complete").unlink()
    shutil.rmtree(folder / "lib")
    assert build(source).returncode == 0


@pytest.mark.slow
def test_downloads_are_kept_for_all_checkouts(source: Path, index: FakeIndex, surroundings: Path) -> None:
    """Made anew, or in another checkout, an environment asks no index; a damaged download is fetched again."""
    cached = surroundings / "cache" / "airflow-service" / "environments"
    build(source)
    [wheels] = cached.iterdir()
    for damage, asked in ((False, False), (True, True)):
        shutil.rmtree(source / ".build")
        index.asked.clear()
        if damage:
            (wheels / DEPENDENCY).write_bytes(b"cut sh")
        assert build(source).returncode == 0
        assert bool(index.asked) == asked
    os.utime(wheels, (0, 0))
    path = source / "requirements" / "build.txt"
    path.write_text("# another comment\n" + path.read_text())
    assert build(source).returncode == 0
    assert not wheels.exists()
    assert len(list(cached.iterdir())) == 1


def test_an_environment_that_cannot_be_made(source: Path, index: FakeIndex) -> None:
    """A wrong hash, or no index, ends with 12 and pip's own words; nothing is left that looks finished."""
    index.projects["tiny-dep"][DEPENDENCY] += b"tampered"
    index.hashes = False
    done = build(source)
    assert done.returncode == 12
    assert "HASH" in done.stderr.upper()
    assert "error: the build environment cannot be made" in done.stderr
    assert "next: mend pip's configuration" in done.stderr
    assert environments(source) == []


def test_a_checkout_that_cannot_be_written(source: Path) -> None:
    """No room, or no permission, for the environment ends with 22 and no traceback."""
    (source / ".build").write_text("in the way")
    done = build(source)
    assert done.returncode == 22
    assert "Traceback" not in done.stderr
    assert "next: make room or mend the permissions" in done.stderr


@pytest.mark.slow
def test_another_program_in_an_environment(source: Path) -> None:
    """`python -m builder.bootstrap NAME ARG…` runs a program with what NAME's requirements hold."""
    command = [
        sys.executable,
        "-m",
        "builder.bootstrap",
        "build",
        "-c",
        "import tiny_dep; print(tiny_dep.NAME)",
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.stdout == "tiny-dep\n", done.stderr


def old_pythons() -> list[str]:
    """Interpreters of this machine that are older than the build's."""
    found = {shutil.which(f"python{version}") or "" for version in ("2", "2.7", "3.6", "3.8", "3.9", "3.10")}
    found |= {str(path) for path in Path(sys.base_prefix).parent.glob("*/bin/python")}
    old = []
    for python in sorted(found - {""}):
        done = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info < (3, 11))"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.strip() == "True":
            old.append(python)
    return old


@pytest.mark.parametrize("entry", [["build.py"], ["-m", "builder.bootstrap", "test", "-m", "tests.suite"]])
def test_a_python_that_is_too_old(source: Path, entry: list[str]) -> None:
    """Each old Python that is here, down to 2, says in three lines what to do, and ends with 24."""
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no older Python is installed here")
    for python in pythons:
        done = subprocess.run([python, *entry], cwd=source, capture_output=True, text=True, check=False)
        assert done.returncode == 24, done.stderr
        assert done.stderr.startswith("error: this is Python ")
        assert "the build needs 3.11 or later" in done.stderr
        assert "next: make PYTHON=python3.11" in done.stderr
    assert environments(source) == []


def test_an_old_python_could_read_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is read first is ASCII and of no later Python's syntax; under an old one it stops before any import."""
    for name in ("build.py", "builder/__init__.py"):
        raw = (ROOT / name).read_bytes()
        raw.decode("ascii")
        ast.parse(raw, feature_version=(3, 4))
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    with pytest.raises(SystemExit) as ended:
        exec(compile(raw, name, "exec"), {"__name__": "builder"})
    assert ended.value.code == 24
    assert "this is Python 3.8" in capsys.readouterr().err


def test_it_is_a_program() -> None:
    """`./build.py` works as the documents write it."""
    assert os.access(ROOT / "build.py", os.X_OK)
    assert (ROOT / "build.py").read_bytes().startswith(b"#!/usr/bin/env python3\n")
