"""Lay the overlay into the patched tree; it may add paths and never shadow one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from builder.errors import InvalidOverlay, UnsavedWork
from builder.git import git_text
from builder.release import Release
from builder.tree_state import UPSTREAM_TAG, Tree
from builder.workspace import hash_files, json_text, read_json, storage, tree_files, write_atomic

VERSION_FILE = "_version.py"
# Where the wheel has the asset bundle, below our package.
BUNDLE_FOLDER = "static"
_LAID = "builder-overlay.json"


def overlay_files(overlay: Path, release: Release) -> dict[str, Path]:
    """The overlay's files by their path in the tree.

    Raises InvalidOverlay for anything outside the release's package, for links
    (which would let a build read files that no record names), and for the file
    that the build itself writes.
    """
    if not overlay.is_dir():
        raise InvalidOverlay(f"{overlay} is missing", cause="an incomplete checkout")
    files = tree_files(overlay)
    generated = f"{release.package}/{VERSION_FILE}"
    bundle = f"{release.package}/{BUNDLE_FOLDER}/"
    faults = [
        f"{name}: outside {release.package}/" for name in files if not name.startswith(f"{release.package}/")
    ]
    faults += [f"{name}: a symbolic link" for name, path in files.items() if path.is_symlink()]
    faults += [f"{name}: written by the build" for name in files if name == generated or name.startswith(bundle)]
    if faults:
        raise InvalidOverlay(f"{overlay} holds what it must not", detail="\n".join(faults))
    return files


def refuse_shadowing(tree: Tree, files: Mapping[str, Path]) -> None:
    """Raise InvalidOverlay if upstream's release has a path of the overlay's.

    Compared without case too, since a wheel may be unpacked where case is lost.
    """
    upstream = git_text(tree.path, "ls-tree", "-r", "--name-only", UPSTREAM_TAG).splitlines()
    patched = git_text(tree.path, "ls-files").splitlines()
    taken = {name.casefold(): name for name in [*upstream, *patched]}
    shadowed = [f"{name} shadows {taken[name.casefold()]}" for name in files if name.casefold() in taken]
    if shadowed:
        raise InvalidOverlay(
            "the overlay shadows a path of upstream's",
            detail="\n".join(shadowed),
            cause="upstream's new release took the name, or a change belongs into a patch",
            next_step="rename the overlay's file, or change upstream's by a patch",
        )


def version_module(release: Release, build: str) -> str:
    """The generated module that says which build this is.

    `build` identifies the inputs: two wheels with the same value are the same.
    """
    return (
        '"""Which build this is. Written by the build; not kept in version control."""\n\n'
        f"VERSION = {release.full_version!r}\n"
        f"UPSTREAM_VERSION = {release.version!r}\n"
        f"REVISION = {release.revision}\n"
        f"BUILD = {build!r}\n"
    )


def lay_overlay(tree: Tree, overlay: Path, release: Release, build: str) -> None:
    """Copy the overlay into the tree, where git is told to ignore it.

    Raises UnsavedWork if somebody edited the laid copy rather than the overlay.
    """
    files = overlay_files(overlay, release)
    refuse_shadowing(tree, files)
    wanted = hash_files(files)
    refuse_edited_copy(tree, release)
    target = tree.path / release.package
    version = version_module(release, build)
    wanted[f"{release.package}/{VERSION_FILE}"] = hashlib.sha256(version.encode()).hexdigest()
    record = tree.git_folder / _LAID
    # Held against the files too, since one may have been deleted.
    if read_json(record) == wanted == _copy_hashes(tree, release):
        return
    with storage(target):
        record.unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name, path in files.items():
            place = tree.path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            place.chmod(0o644)
        (target / VERSION_FILE).write_text(version, "utf-8")
    write_atomic(record, json_text(wanted))


def _copy_hashes(tree: Tree, release: Release) -> dict[str, str]:
    copied = tree_files(tree.path / release.package)
    return hash_files({f"{release.package}/{name}": path for name, path in copied.items()})


def refuse_edited_copy(tree: Tree, release: Release) -> None:
    """Raise UnsavedWork if somebody edited the tree's copy of the overlay."""
    laid = read_json(tree.git_folder / _LAID)
    if not isinstance(laid, dict):
        return
    present = _copy_hashes(tree, release)
    # Made anew by every build, and says so.
    present.pop(f"{release.package}/{VERSION_FILE}", None)
    edited = sorted(name for name in present if laid.get(name) != present[name])
    if edited:
        raise UnsavedWork(
            f"the overlay's copy in {tree.path} was edited",
            detail="\n".join(edited),
            cause="overlay/ is the place to edit; the tree's copy is made anew by every build",
            next_step="carry the change over to overlay/, then delete the copy",
        )
