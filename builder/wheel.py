"""Build the wheel with setuptools, the same bytes wherever it is built."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.errors import WheelError
from builder.git import git_text
from builder.release import Release
from builder.series import Series
from builder.tree_state import Tree
from builder.workspace import refuse_storage, scratch_folder, storage, tree_files

MODIFICATIONS = "licenses/MODIFICATIONS.txt"
# Lines of the back end's output that an error shows.
_SHOWN_LINES = 30

_BACK_END = """
import sys
from setuptools import build_meta
sys.stdout = sys.stderr
name = build_meta.build_wheel(sys.argv[1])
print(name, file=sys.__stdout__)
"""


def build_wheel(tree: Tree, release: Release, series: Series, target: Path) -> Path:
    """Build the patched tree's wheel into the folder `target`.

    The sources are copied aside first: the back end writes beside what it reads,
    and modes, times and order must not depend on the tree's history.
    """
    with scratch_folder(target) as scratch:
        source = scratch / "source"
        _export(tree, release, source)
        _write(source / MODIFICATIONS, modifications(release, series))
        name = _run_back_end(source, scratch, release)
        if name != release.wheel_name:
            raise WheelError(
                f"the back end made {name}, not {release.wheel_name}",
                cause="setup.py reads its version elsewhere, or its tags changed",
            )
        wheel = target / name
        (scratch / name).replace(wheel)
        wheel.chmod(0o644)
    return wheel


def _export(tree: Tree, release: Release, target: Path) -> None:
    tracked = git_text(tree.path, "ls-files", "-z").split("\0")
    laid = [f"{release.package}/{name}" for name in tree_files(tree.path / release.package)]
    with storage(target):
        for name in filter(None, [*tracked, *laid]):
            # What an sdist says of itself would be taken for what it must hold.
            if name == "PKG-INFO" or ".egg-info/" in name:
                continue
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tree.path / name, place)
            # git made the file under the umask of whoever built; the wheel records its mode.
            place.chmod(0o755 if (tree.path / name).stat().st_mode & 0o100 else 0o644)


def _write(path: Path, text: str) -> None:
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o644)


def modifications(release: Release, series: Series) -> str:
    """The statement of changes that section 4(b) of the Apache licence asks for."""
    lines = [
        f"{release.name} {release.full_version} is a modified version of {release.name} {release.version},",
        "Copyright The Apache Software Foundation, licensed under the Apache License, Version 2.0.",
        "It is not a release of the Apache Software Foundation.",
        "",
        f"The package {release.package} was added. The files below were changed, each by the patches named with it.",
        "",
    ]
    changed: dict[str, list[str]] = {}
    for patch in series:
        for path in patch.paths:
            changed.setdefault(path, []).append(patch.name)
    lines += [f"{path}: {', '.join(names)}" for path, names in sorted(changed.items())]
    return "\n".join(lines) + "\n"


def _run_back_end(source: Path, target: Path, release: Release) -> str:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(target),
        "TMPDIR": str(target),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "default",
        "SOURCE_DATE_EPOCH": str(release.source_epoch),
    }
    done = subprocess.run(
        # -P: the sources' own folder must not shadow the back end's imports.
        [sys.executable, "-P", "-c", _BACK_END, str(target)],
        cwd=source, env=environment, umask=0o022, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        refuse_storage(done.stderr, target)
        shown = "\n".join(done.stderr.splitlines()[-_SHOWN_LINES:])
        raise WheelError("setuptools could not build the wheel", detail=shown, cause="a patch broke setup.py")
    return done.stdout.strip()


def file_list(wheel: Path) -> dict[str, str]:
    """The sha256 of each file in a wheel, by its path."""
    with zipfile.ZipFile(wheel) as bundle:
        return {
            name: hashlib.sha256(bundle.read(name)).hexdigest()
            for name in bundle.namelist()
            if name[-1] != "/"
        }


@dataclass(frozen=True, slots=True)
class WheelDifference:
    """How a wheel's files differ from upstream's; metadata is compared by its base name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    same: int

    @property
    def summary(self) -> str:
        return (
            f"against upstream's wheel: {len(self.added)} files added, {len(self.removed)} removed,"
            f" {len(self.changed)} changed, {self.same} the same"
        )


def compare(wheel: Path, reference: Path) -> WheelDifference:
    """Hold a wheel's files against upstream's wheel."""
    ours = _without_version(file_list(wheel))
    theirs = _without_version(file_list(reference))
    common = ours.keys() & theirs.keys()
    changed = {name for name in common if ours[name] != theirs[name]}
    return WheelDifference(
        added=tuple(sorted(ours.keys() - theirs.keys())),
        removed=tuple(sorted(theirs.keys() - ours.keys())),
        changed=tuple(sorted(changed)),
        same=len(common) - len(changed),
    )


def _without_version(files: Mapping[str, str]) -> dict[str, str]:
    """Rename `name-1.2.dist-info/` to `dist-info/`, `name-1.2.data/` to `data/`."""
    renamed = {}
    for name, sha256 in files.items():
        first, _, rest = name.partition("/")
        for kind in ("dist-info", "data"):
            if first.endswith(f".{kind}"):
                name = f"{kind}/{rest}"
        renamed[name] = sha256
    return renamed


def unexplained(
    difference: WheelDifference,
    release: Release,
    series: Series,
    ours: Iterable[str],
    originals: Collection[str] = (),
) -> list[str]:
    """Every difference from upstream's wheel that no patch, rule or file of ours accounts for.

    `ours` are the files of the overlay and of the asset bundle, `originals` those
    that the bundle holds under another name.
    """
    patched = {path for patch in series for path in patch.paths}
    must = set(ours)
    added = {*must, *patched, f"{release.package}/_version.py"}
    left_out = release.wheel_without
    found = [
        f"added: {name}"
        for name in difference.added
        if name not in added and not name.startswith("dist-info/")
    ]
    found += [f"missing: {name}" for name in sorted(must - set(difference.added)) if name not in patched]
    found += [
        f"removed: {name}"
        for name in difference.removed
        if not name.startswith(("dist-info/", *left_out)) and name not in patched and name not in originals
    ]
    found += [
        f"changed: {name}"
        for name in difference.changed
        if name not in patched and not name.startswith("dist-info/") and not _is_script(name, patched)
    ]
    kept = (
        [name for name in (*difference.added, *difference.changed) if name.startswith(left_out)]
        if left_out
        else []
    )
    return found + [f"not left out: {name}" for name in kept]


def _is_script(name: str, patched: set[str]) -> bool:
    """A script's path in the wheel says only its base name."""
    base = name.removeprefix("data/scripts/")
    return base != name and any(path.rsplit("/", 1)[-1] == base for path in patched)


def check_files(
    wheel: Path,
    reference: Path,
    release: Release,
    series: Series,
    ours: Iterable[str],
    originals: Collection[str] = (),
) -> WheelDifference:
    """Compare with upstream's wheel; raise WheelError for what is unaccounted for."""
    difference = compare(wheel, reference)
    faults = unexplained(difference, release, series, ours, originals)
    if faults:
        raise WheelError(
            f"{len(faults)} files of the wheel differ from upstream's, and nothing says why",
            detail="\n".join(faults),
            cause="a file was left out of the package data, or upstream's wheel was made from other sources",
        )
    return difference
