"""Where static files and templates are read from: a folder, or a wheel."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.asset_names import name_fault
from builder.errors import AssetError


@dataclass(frozen=True, slots=True)
class FileTree:
    """A folder, or the folder `within` a zip file such as a wheel.

    `label` is what messages call it, the same on every machine.
    """

    label: str
    location: Path
    within: str = ""

    def shown(self, path: str) -> str:
        """How a message names the file at `path`."""
        return f"{self.label}/{path}"

    def open(self, max_size: int) -> FileReader:
        """List the tree's files. Raises AssetError for what no bundle can hold."""
        sizes = _zip_sizes(self) if self.within else _folder_sizes(self)
        return FileReader(self, sizes, max_size)


@dataclass(frozen=True, slots=True)
class FileReader:
    """The listed files of a tree; contents are read only when asked for."""

    tree: FileTree
    sizes: dict[str, int]
    max_size: int

    def contents(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        """Path and bytes of each of `paths`. Raises AssetError."""
        for path in paths:
            if self.sizes[path] > self.max_size:
                raise AssetError(
                    f"{self.tree.shown(path)} has {self.sizes[path]:,} bytes; the limit is {self.max_size:,}",
                    cause="a file that is no part of a page, such as a recording or a database",
                    next_step="exclude it in the line's rules.toml, or raise limits.max_file_bytes there",
                )
        if self.tree.within:
            yield from self._from_zip(paths)
        else:
            yield from self._from_folder(paths)

    def _from_folder(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        for path in paths:
            try:
                yield path, (self.tree.location / path).read_bytes()
            except OSError as error:
                raise AssetError(f"cannot read {self.tree.shown(path)}: {error.strerror}") from error

    def _from_zip(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        with zipfile.ZipFile(self.tree.location) as archive:
            for path in paths:
                try:
                    yield path, archive.read(f"{self.tree.within}/{path}")
                except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
                    raise AssetError(
                        f"cannot read {self.tree.shown(path)}: {error}", cause="a damaged download"
                    ) from error


def _folder_sizes(tree: FileTree) -> dict[str, int]:
    sizes: dict[str, int] = {}
    faults: list[str] = []

    def visit(folder: Path, prefix: str) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    visit(Path(entry), path + "/")
                elif not entry.is_file(follow_symlinks=False):
                    # A link could lead out of the tree, or to another file on the next machine.
                    what = "a symbolic link" if entry.is_symlink() else "neither a file nor a folder"
                    faults.append(f"{tree.shown(path)} is {what}")
                else:
                    sizes[path] = entry.stat().st_size

    try:
        visit(tree.location, "")
    except OSError as error:
        raise AssetError(
            f"cannot read the folder {tree.label}: {error.strerror}", cause="it has moved in this release"
        ) from error
    return _checked(tree, sizes, faults)


def _zip_sizes(tree: FileTree) -> dict[str, int]:
    """Sizes of the files below `within`, from the archive's directory."""
    sizes: dict[str, int] = {}
    faults: list[str] = []
    prefix = tree.within + "/"
    try:
        with zipfile.ZipFile(tree.location) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise AssetError(
            f"cannot read {tree.location.name}: {error}",
            cause="the file is missing, or its download was cut off",
            next_step="./build.py fetch",
        ) from error
    for member in members:
        if not member.filename.startswith(prefix) or member.is_dir():
            continue
        path = member.filename.removeprefix(prefix)
        if stat.S_ISLNK(member.external_attr >> 16):
            faults.append(f"{tree.shown(path)} is a symbolic link")
        elif path in sizes:
            faults.append(f"{tree.shown(path)} is there twice")
        sizes[path] = member.file_size
    return _checked(tree, sizes, faults)


def _checked(tree: FileTree, sizes: dict[str, int], faults: list[str]) -> dict[str, int]:
    faults += [f"{tree.shown(path)} {fault}" for path in sizes if (fault := name_fault(path))]
    if faults:
        raise AssetError("static files that cannot go into a bundle", detail="\n".join(sorted(faults)))
    if not sizes:
        raise AssetError(
            f"no file in {tree.label}",
            cause=f"the folder has moved in this release (looked in {tree.location.name}/{tree.within})",
        )
    return dict(sorted(sizes.items()))
