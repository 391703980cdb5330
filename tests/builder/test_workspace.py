"""Tests of builder.workspace: files appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builder import workspace
from builder.errors import StorageFailure
from builder.workspace import (
    cache_home,
    digest,
    read_json,
    refuse_storage,
    remove_leftovers,
    remove_partial_files,
    scratch_folder,
    storage,
    tree_files,
    write_atomic,
)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills while a file is written leaves the old bytes, and no part file."""
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workspace.os, "fsync", full)
    with pytest.raises(StorageFailure, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_the_umask_has_no_say(tmp_path: Path, umask: int) -> None:
    """What is written can be read by others, and only read."""
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    """The part file's own name stays within what a file system takes."""
    write_atomic(tmp_path / ("x" * 250), "x")


def test_scratch_is_removed(tmp_path: Path) -> None:
    """Also when the work in it fails; and what a killed process left, by the next one."""

    def fail() -> None:
        with scratch_folder(tmp_path) as scratch:
            (scratch / "deep").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "scratch-abandoned" / "deep").mkdir(parents=True)
    (tmp_path / "kept").write_text("x")
    (tmp_path / ".half-written.ab_12xyz.part").write_text("x")
    remove_leftovers(tmp_path)
    assert [*tmp_path.iterdir()] == [tmp_path / "kept"]
    remove_leftovers(tmp_path / "missing")


def test_partial_files_go_alone(tmp_path: Path) -> None:
    """In a user's folder nothing but what is named like them."""
    for name in (".page.md.ab_12xyz.part", ".mine.part", "scratch-ideas"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".mine.part", "scratch-ideas"}


def test_other_errors_are_no_storage_failure(tmp_path: Path) -> None:
    """A missing file is a bug, or somebody else's to tell."""
    with pytest.raises(FileNotFoundError), storage(tmp_path):
        (tmp_path / "missing").read_bytes()


def test_a_program_may_report_the_full_disk(tmp_path: Path) -> None:
    """git's and setuptools' own words are read; other failures are not taken for it."""
    with pytest.raises(StorageFailure, match="No space left on device"):
        refuse_storage("fatal: write error: No space left on device\n", tmp_path)
    refuse_storage("error: patch failed: x.py:1", tmp_path)


@pytest.mark.parametrize(("value", "expected"), [("/cache", "/cache"), ("relative", None), ("", None)])
def test_the_cache_is_where_xdg_says(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None
) -> None:
    """A relative path is ignored, as the specification asks."""
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_home() == Path(expected or "/home/somebody/.cache") / "airflow-service"


def test_what_belongs_to_a_project(tmp_path: Path) -> None:
    """Byte code, hidden files and editors' leftovers do not, and links are told."""
    for name in ("a.py", "b/c.txt", ".hidden", "b/.x/y", "__pycache__/a.pyc", "a.pyc", "a.py~"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    assert list(tree_files(tmp_path)) == ["a.py", "b/c.txt", "link"]


def test_json_that_was_cut_short_is_none(tmp_path: Path) -> None:
    """A stamp that cannot be read means: not made."""
    path = tmp_path / "x.json"
    assert read_json(path) is None
    for raw in (b"", b'{"a', b"\xff"):
        path.write_bytes(raw)
        assert read_json(path) is None


def test_a_digest_is_of_values_not_of_their_order() -> None:
    """The same inputs give the same key, and parts do not run into each other."""
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest("ab", "c") != digest("a", "bc")
