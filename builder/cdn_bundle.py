"""The finished bundle of dist/ as the objects that go to the CDN's store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from builder.cdn_layout import ALWAYS_ASK, ASSETS, IMMUTABLE, SUFFIXES, manifest_key
from builder.errors import AssetError, InvalidDist

if TYPE_CHECKING:
    from builder.manifest import Manifest

_SUMS_FILE = "SHA256SUMS"
_SUM = re.compile(r"^([0-9a-f]{64})  ([^/\n]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to be: its key, bytes and headers."""

    key: str
    content: bytes = field(repr=False)
    headers: Mapping[str, str]

    @property
    def encoding(self) -> str:
        """HTTP's name of the encoding that the bytes are in, or nothing."""
        return self.headers.get("Content-Encoding", "")


@dataclass(frozen=True)
class DistBundle:
    """The bundle and manifest of dist/, as they were when their sums were checked."""

    version: str
    manifest_content: bytes = field(repr=False)
    archive: bytes = field(repr=False)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest's content. Raises InvalidDist."""
        # Not needed to see that it is published already, which is to be quick.
        from builder.manifest import Manifest

        try:
            read = Manifest.load(self.manifest_content)
        except AssetError as error:
            raise _tampered(f"the manifest: {error.happened}", detail=error.detail) from None
        if read.version != self.version:
            raise _tampered(f"the manifest is of version {read.version}, not {self.version}")
        return read

    @property
    def manifest_upload(self) -> Upload:
        headers = {"Content-Type": "application/json", "Cache-Control": ALWAYS_ASK}
        return Upload(manifest_key(self.version), self.manifest_content, headers)

    def uploads(self) -> list[Upload]:
        """The assets and their variants, each held against the manifest. Raises InvalidDist."""
        members = _members(self.archive)
        if members.pop(manifest_key(self.version), None) != self.manifest_content:
            raise _tampered("the archive holds another manifest than the one beside it")
        found = {}
        for entry in self.manifest.assets.values():
            wanted = {"": entry.sha256} | {name: one.sha256 for name, one in entry.encodings.items()}
            for encoding, sha256 in wanted.items():
                key = f"{ASSETS}{entry.name}{SUFFIXES.get(encoding, '')}"
                content = members.get(key)
                if content is None or (key not in found and hashlib.sha256(content).hexdigest() != sha256):
                    raise _tampered(f"{key} in the archive is not what the manifest says")
                headers = {"Content-Type": entry.type, "Cache-Control": IMMUTABLE}
                found[key] = Upload(
                    key, content, headers | ({"Content-Encoding": encoding} if encoding else {})
                )
        if more := sorted(members.keys() - found.keys()):
            raise _tampered(f"the archive holds what the manifest does not name: {', '.join(more)}")
        return list(found.values())


def read_dist(dist: Path, version: str) -> DistBundle:
    """Read the bundle of one version, and hold it against SHA256SUMS. Raises InvalidDist."""
    names = (f"manifest-{version}.json", f"airflow-assets-{version}.tar.gz")
    try:
        sums = {
            name: digest for digest, name in _SUM.findall((dist / _SUMS_FILE).read_text("utf-8", "replace"))
        }
        manifest, archive = ((dist / name).read_bytes() for name in names)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidDist(
            f"{error.filename} is missing",
            cause="nothing was built yet, or another version",
            next_step="./build.py dist",
        ) from None
    for name, content in zip(names, (manifest, archive), strict=True):
        got = hashlib.sha256(content).hexdigest()
        if got != sums.get(name):
            raise _tampered(
                f"{dist / name} is not what {_SUMS_FILE} says",
                detail=f"expected sha256 {sums.get(name, 'none: it is not named')}\ngot      sha256 {got}",
            )
    return DistBundle(version, manifest, archive)


def _members(archive: bytes) -> dict[str, bytes]:
    import io
    import tarfile
    import zlib

    try:
        # At once, which is far quicker than the small reads that tarfile would make.
        plain = zlib.decompress(archive, wbits=zlib.MAX_WBITS | 16)
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as opened:
            return {
                member.name: file.read()
                for member in opened
                if (file := opened.extractfile(member)) is not None
            }
    except (tarfile.TarError, zlib.error) as error:
        raise _tampered(f"the archive is damaged: {error}") from None


def _tampered(happened: str, *, detail: str = "") -> InvalidDist:
    return InvalidDist(
        happened,
        detail=detail,
        cause="a file of dist/ was changed or copied in part after the build",
        next_step="./build.py dist, or copy dist/ anew with all of its files; nothing was uploaded",
    )
