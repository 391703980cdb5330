"""Make everything that `dist/` holds, or nothing at all."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder import lock, records, report, sbom, wheelhouse
from builder.bundle import Bundle
from builder.errors import LockError
from builder.freshness import input_hashes, mark_current
from builder.libraries import Library
from builder.lock import LockedRequirement
from builder.pipeline import Line, build_assets, build_bare_wheel, build_tree, complete_wheel
from builder.progress import step
from builder.records import Output
from builder.wheel import WheelDifference
from builder.workspace import (
    file_sha256,
    json_text,
    scratch_folder,
    storage,
    write_atomic,
)

_SUM = re.compile(r"^[0-9a-f]{64}  ([^/\n]+)$", re.MULTILINE)
_TOOLS = ("setuptools", "uv", "pip", "brotli", "unearth", "tinycss2", "cyclonedx-python-lib")


def dist(line: Line, key: str) -> list[Path]:
    """Make everything that `dist/` holds, from the inputs with this key; returns the files.

    The outputs appear in dist/ only when all of them are made and checked.
    """
    target = line.workspace.dist
    with storage(target):
        target.mkdir(exist_ok=True)
    with scratch_folder(target) as scratch:
        # A dist/ that cannot be written is found out now, not after the work.
        tree = build_tree(line)
        # The wheel is a process of its own, so the two share the cores.
        with ThreadPoolExecutor(2) as pool:
            making_wheel = pool.submit(build_bare_wheel, line, tree, scratch)
            making_bundle = pool.submit(build_assets, line, tree, scratch)
            made_wheel = making_wheel.result()
            bundle, libraries = making_bundle.result()
        difference = complete_wheel(line, made_wheel, bundle)
        with step("records"):
            locks = _copy_locks(line, made_wheel, scratch)
            made = Made(line, made_wheel, difference, bundle, libraries, locks)
            _write_records(made, scratch)
        outputs = sorted(path for path in scratch.iterdir() if path.is_file())
        _retire_wheelhouses(made_wheel, locks, target, scratch)
        _publish(outputs, target)
    published = [target / path.name for path in outputs]
    mark_current(line.workspace, line.release, key, published)
    return published


def _copy_locks(line: Line, made_wheel: Path, target: Path) -> dict[str, Path]:
    """Put each Python's lock among the outputs. Raises LockError if it is out of date."""
    requirements = lock.wheel_requirements(made_wheel)
    copied = {}
    for python in line.release.python:
        source = lock.lock_file(line.release, python)
        wanted = lock.lock_input(requirements, line.release.extras, python)
        if not lock.is_current(source, wanted):
            raise LockError(
                f"{source} was not made from the wheel's requirements",
                cause="a patch changed setup.py",
                next_step="./build.py lock, and read the difference before you commit it",
            )
        copied[python] = target / f"constraints-{line.release.full_version}-py{python}.txt"
        shutil.copyfile(source, copied[python])
    return copied


@dataclass(frozen=True, slots=True)
class Made:
    """What the records describe: everything that was made before them."""

    line: Line
    wheel: Path
    difference: WheelDifference
    bundle: Bundle
    libraries: list[Library]
    locks: dict[str, Path]

    @property
    def outputs(self) -> list[Output]:
        paths = [self.wheel, self.bundle.archive, self.bundle.manifest_path, *self.locks.values()]
        return [Output.of(path) for path in paths]


def _write_records(made: Made, target: Path) -> None:
    """Write the bill of materials, the report, build.json and the sums, in this order.

    Each names the ones before it, and no file names itself.
    """
    line = made.line
    locked = {python: lock.read_lock(path) for python, path in made.locks.items()}
    dependencies = records.merge_locks(locked)
    outputs = made.outputs
    requirements = lock.wheel_requirements(made.wheel)
    wanted = {
        line for python in locked for line in lock.lock_input(requirements, made.line.release.extras, python)
    }
    requires = _requires(line.release.name, wanted, locked)

    def write(name: str, text: str) -> None:
        write_atomic(target / name, text)
        outputs.append(Output.of(target / name))

    bill = sbom.render_sbom(
        line.release, line.series, wheel=outputs[0], bundle=outputs[1],
        dependencies=dependencies, requires=requires, libraries=made.libraries,
    )  # fmt: skip
    write("sbom.cdx.json", bill)
    overlay = [report.OverlayFile.of(name, path) for name, path in sorted(line.overlay.items())]
    page = report.Build(
        line.release, line.series, overlay, outputs[0], made.difference, dependencies,
        made.bundle.manifest, made.libraries, tuple(outputs),
    )  # fmt: skip
    write("report.html", report.render_report(page))
    inputs = input_hashes(line.workspace, line.release)
    record = records.build_record(
        line.release, line.series, overlay=inputs["overlay"], assets=inputs["assets"],
        locks={path.name: file_sha256(path) for path in made.locks.values()},
        toolchain=records.read_toolchain(_TOOLS, {"git": "git", "uv": uv.find_uv_bin()}), outputs=outputs,
    )  # fmt: skip
    write(records.RECORD_FILE, json_text(record))
    write_atomic(target / records.SUMS_FILE, records.sha256sums(outputs))


def _requires(name: str, wanted: set[str], locked: dict[str, list[LockedRequirement]]) -> dict[str, set[str]]:
    """Who asks for whom: the wheel's own requirements, and what the locks say of the rest."""
    requires: dict[str, set[str]] = {name: {canonicalize_name(Requirement(line).name) for line in wanted}}
    for requirement in (requirement for lines in locked.values() for requirement in lines):
        for asker in requirement.via:
            requires.setdefault(canonicalize_name(asker), set()).add(canonicalize_name(requirement.name))
    return requires


def _retire_wheelhouses(made_wheel: Path, locks: dict[str, Path], target: Path, scratch: Path) -> None:
    """Take each wheelhouse of another wheel or lock out of dist/: what is installed from it is an older build.

    It is renamed, and goes with the scratch folder: half of a wheelhouse is never to be seen.
    """
    with storage(target):
        for house in target.glob(f"{wheelhouse.PREFIX}*"):
            lock_copy = locks.get(house.name.removeprefix(wheelhouse.PREFIX))
            if lock_copy is None or not wheelhouse.is_current(house, made_wheel, lock_copy):
                house.rename(scratch / house.name)


def _publish(outputs: list[Path], target: Path) -> None:
    """Move finished outputs into dist/, and remove an older build's.

    SHA256SUMS goes last: until it is there, a reader holds the older one, whose
    sums tell it that a file is not its own.
    """
    sums = target / records.SUMS_FILE
    # A name with a slash, or a line that is no sum, was not written by us.
    older = set(_SUM.findall(sums.read_text("utf-8", "replace"))) if sums.exists() else set()
    with storage(target):
        for path in sorted(outputs, key=lambda output: output.name == records.SUMS_FILE):
            path.replace(target / path.name)
        for name in older - {path.name for path in outputs}:
            (target / name).unlink(missing_ok=True)
