"""Tests of builder.git: the git that the build calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import MissingTool
from builder.git import git_text


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git that is the only program of PATH; it counts how often it is asked for its version."""
    path = tmp_path / "bin" / "git"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", str(path.parent))
    return path


def answer(git: Path, version: str) -> None:
    count = git.with_name("asked")
    git.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo x >>"{count}"\necho "{version}"\n', "utf-8")
    git.chmod(0o755)


@pytest.mark.parametrize("version", ["git version 2.30.2", "git version 1.8.3.1", "no git"])
def test_a_git_that_is_too_old(git: Path, tmp_path: Path, version: str) -> None:
    """It would not see the build's own configuration: it is refused, with the version that was found."""
    answer(git, version)
    with pytest.raises(MissingTool, match=f"is too old: {version}"):
        git_text(tmp_path, "status")


@pytest.mark.parametrize(
    "version", ["git version 2.31.0", "git version 2.39.5 (Apple Git-154)", "git version 3.0"]
)
def test_a_git_that_is_new_enough(git: Path, tmp_path: Path, version: str) -> None:
    """Its version is asked for once."""
    answer(git, version)
    for _ in range(3):
        assert git_text(tmp_path, "status") == version
    assert git.with_name("asked").read_text() == "x\n"


def test_no_git(git: Path, tmp_path: Path) -> None:
    """The message says what to install."""
    with pytest.raises(MissingTool, match="git is not installed") as raised:
        git_text(tmp_path, "status")
    assert raised.value.exit_code == 25
    assert "git 2.31 or later" in raised.value.next_step
