"""Unpack a verified sdist; refuse whatever could leave the folder it goes to."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from builder.errors import UnsafeArchive
from builder.release import Source
from builder.workspace import storage

# A bomb is refused long before the disk is full; the release unpacks to 15 MB.
MOST_BYTES = 1 << 30
# What a broken stream raises, beside OSError (a gzip without its sum, a name too
# long for a file system) and RuntimeError (an encrypted zip). A full disk is told
# apart before: `storage` has made a StorageFailure of it.
_DECODERS = (zlib.error, lzma.LZMAError)


def unpack_sources(sources: Sequence[Source], archives: dict[str, Path], target: Path) -> None:
    """Unpack every source into its folder below `target`."""
    for source in sources:
        unpack_sdist(archives[source.file], target / source.into)
        if not (target / source.into).is_dir():
            raise UnsafeArchive(f"{source.file} holds nothing", cause="the pinned file itself is broken")


def unpack_sdist(archive: Path, target: Path) -> None:
    """Unpack an sdist without its first folder.

    Raises UnsafeArchive for a damaged file and for members that are absolute,
    climb with `..`, are links or devices, or stand twice.
    """
    try:
        if archive.name.endswith(".zip"):
            _unpack_zip(archive, target)
        else:
            _unpack_tar(archive, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, *_DECODERS) as error:
        raise UnsafeArchive(
            f"{archive.name} is damaged: {error}", cause="the pinned file itself is broken"
        ) from None


def _unpack_tar(archive: Path, target: Path) -> None:
    with tarfile.open(archive, "r:*") as tar:
        budget = _Budget(archive)
        for member in tar:
            kind = "a folder" if member.isdir() else "" if member.isreg() else _kind(member)
            if kind not in ("", "a folder"):
                raise _unsafe(archive, member.name, f"is {kind}")
            path = budget.admit(member.name, member.size if member.isreg() else 0, folder=member.isdir())
            content = tar.extractfile(member) if member.isreg() else None
            if path is not None:
                _write(
                    target / path, content.read() if content else None, executable=bool(member.mode & 0o100)
                )


def _unpack_zip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as bundle:
        budget = _Budget(archive)
        for member in bundle.infolist():
            mode = member.external_attr >> 16
            if mode & 0o170000 == 0o120000:
                raise _unsafe(archive, member.filename, "is a symbolic link")
            path = budget.admit(member.filename, member.file_size, folder=member.is_dir())
            if path is not None:
                content = None if member.is_dir() else bundle.read(member)
                _write(target / path, content, executable=bool(mode & 0o100))


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "a symbolic link"
    if member.islnk():
        return "a hard link"
    return "a device or pipe"


def _unsafe(archive: Path, name: str, why: str) -> UnsafeArchive:
    return UnsafeArchive(
        f"{archive.name}: the member {name!r} {why}",
        cause="not an sdist as build back ends write it; nothing of it was used",
        next_step="compare the file with the project's own release before you pin it",
    )


class _Budget:
    """Checks names and sizes of one archive's members."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.top = ""
        self.files: set[PurePosixPath] = set()
        self.folders: set[PurePosixPath] = set()
        self.left = MOST_BYTES

    def admit(self, name: str, size: int, *, folder: bool) -> PurePosixPath | None:
        """The member's path without the first folder; None for that folder itself."""
        path = PurePosixPath(name)
        if not path.parts:
            raise _unsafe(self.archive, name, "has no name")
        if path.is_absolute() or "\\" in name or "\0" in name or ":" in path.parts[0]:
            raise _unsafe(self.archive, name, "is an absolute or foreign path")
        if ".." in path.parts:
            raise _unsafe(self.archive, name, "leaves the folder by '..'")
        if any(part.lower() == ".git" for part in path.parts):
            raise _unsafe(self.archive, name, "would get into git's own folder")
        self.top = self.top or path.parts[0]
        if path.parts[0] != self.top or (len(path.parts) == 1 and not folder):
            raise _unsafe(self.archive, name, "is not below the sdist's one folder")
        self._take(path, name, folder)
        self.left -= size
        if self.left < 0:
            raise _unsafe(self.archive, name, f"takes the archive past {MOST_BYTES} bytes")
        return PurePosixPath(*path.parts[1:]) if len(path.parts) > 1 else None

    def _take(self, path: PurePosixPath, name: str, folder: bool) -> None:
        """Let a path be one thing only: a file, or a folder."""
        if path in self.files or (path in self.folders and not folder):
            raise _unsafe(self.archive, name, "stands twice")
        if not self.files.isdisjoint(path.parents):
            raise _unsafe(self.archive, name, "lies below a file")
        (self.folders if folder else self.files).add(path)
        self.folders.update(path.parents)


def _write(path: Path, content: bytes | None, *, executable: bool) -> None:
    """Write one member with modes of our own, whatever the umask or the archive says."""
    with storage(path):
        folder = path if content is None else path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o755 if executable else 0o644)
