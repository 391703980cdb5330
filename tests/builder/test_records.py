"""Tests of builder.records: complete, reproducible, and checkable by sha256sum."""

from __future__ import annotations

import getpass
import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from builder.lock import LockedRequirement
from builder.records import Dependency, Output, build_record, merge_locks, read_toolchain, sha256sums
from builder.release import load_release
from builder.series import load_series
from builder.workspace import json_text

SAMPLE = Path(__file__).parents[1] / "samples" / "records" / "2.0"


def record(toolchain: dict[str, object] | None = None) -> dict[str, object]:
    return build_record(
        load_release(SAMPLE),
        load_series(SAMPLE),
        overlay={"made_up_service/__init__.py": "1" * 64},
        assets={"rules.toml": "2" * 64},
        locks={"constraints-py3.11.txt": "3" * 64},
        toolchain=toolchain or {"python": "3.11.7"},
        outputs=[Output("b.whl", 5, "5" * 64), Output("a.tar.gz", 4, "4" * 64)],
    )


def test_record_names_all_inputs_and_outputs() -> None:
    """build.json has every input's hash, the patches in their order, and every output."""
    made = record()
    assert (made["format"], made["version"], made["upstream_version"]) == (1, "2.0+svc.3", "2.0")
    assert [source["sha256"][0] for source in made["sources"]] == ["a", "b", "c"]  # type: ignore[attr-defined]
    assert made["patches"] == [
        {"name": name, "sha256": hashlib.sha256((SAMPLE / name).read_bytes()).hexdigest()}
        for name in ("quote-the-origin.patch", "drop-the-notes.patch")
    ]
    assert made["outputs"] == {
        "b.whl": {"size": 5, "sha256": "5" * 64},
        "a.tar.gz": {"size": 4, "sha256": "4" * 64},
    }
    assert made["source_date"] == "2020-09-13T12:26:40+00:00"
    for room in ("overlay", "assets", "locks"):
        assert made[room]


def test_record_is_the_same_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither time zone, folder, user nor host has a say in the record."""
    toolchain = read_toolchain(["pytest"], {"git": "git"})
    before = json_text(record(toolchain))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("USER", "somebody")
    assert json_text(record(read_toolchain(["pytest"], {"git": "git"}))) == before
    assert str(SAMPLE) not in before
    values = before.replace('"', " ").split()
    assert platform.node() not in values
    assert getpass.getuser() not in values


def test_toolchain_tells_versions() -> None:
    """Packages and programs are recorded by version; what is missing is None."""
    found = read_toolchain(["pytest", "no-such-package"], {"git": "git", "none": "/no/such/program"})
    assert found["packages"] == {"pytest": pytest.__version__, "no-such-package": None}
    assert found["programs"]["git"].count(".") >= 1
    assert found["programs"]["none"] is None
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(found["zlib"]) == {"compiled", "running"}
    json.dumps(found)


def test_sums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    """`sha256sum --check` accepts the file, and refuses a changed output."""
    for name in ("b.txt", "a file.txt"):
        (tmp_path / name).write_text(name)
    text = sha256sums([Output.of(tmp_path / name) for name in ("b.txt", "a file.txt")])
    assert [line.split("  ", 1)[1] for line in text.splitlines()] == ["a file.txt", "b.txt"]
    command = ["sha256sum", "--check", "--strict", "--status"]
    assert subprocess.run(command, cwd=tmp_path, input=text, text=True, check=False).returncode == 0
    (tmp_path / "b.txt").write_text("other")
    assert subprocess.run(command, cwd=tmp_path, input=text, text=True, check=False).returncode == 1


def test_locks_are_merged_by_version() -> None:
    """One entry for each version of a project, with the Pythons that get it."""
    merged = merge_locks(
        {
            "3.11": [LockedRequirement("Numpy", "2.1", ("b", "a")), LockedRequirement("zope.dep", "1", ("c",))],
            "3.12": [LockedRequirement("numpy", "2.2", ("d",)), LockedRequirement("zope-dep", "1", ("e", "c"))],
        }
    )
    assert merged == (
        Dependency("numpy", "2.1", ("a", "b"), ("3.11",)),
        Dependency("numpy", "2.2", ("d",), ("3.12",)),
        Dependency("zope-dep", "1", ("c", "e"), ("3.11", "3.12")),
    )
