"""The finished bundle of dist/ as the objects that go to the CDN's store."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.errors import AssetError, InvalidDist
from builder.manifest import Manifest

ASSETS = "a/"
MANIFESTS = "manifests/"
# HTTP's name of an encoding, and the suffix of its objects.
SUFFIXES = {"br": ".br", "gzip": ".gz"}
# A hashed name never means other bytes.
IMMUTABLE = "public, max-age=31536000, immutable"
# A manifest that was missing may be there now, and one that was pruned is gone.
ALWAYS_ASK = "no-cache"

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


def manifest_key(version: str) -> str:
    return f"{MANIFESTS}{version}.json"


def named_objects(manifest: Manifest) -> set[str]:
    """The keys of all objects that a manifest names, its variants among them."""
    return {
        f"{ASSETS}{entry.name}{suffix}"
        for entry in manifest.assets.values()
        for suffix in ("", *(SUFFIXES[encoding] for encoding in entry.encodings))
    }


def same_but_for_variants(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests name the same assets; the compressed bytes are the machine's (docs/assets.md)."""
    return _plain(one) == _plain(other)


def _plain(manifest: Manifest) -> Manifest:
    assets = {name: dataclasses.replace(entry, encodings={}) for name, entry in manifest.assets.items()}
    return dataclasses.replace(manifest, assets=assets)


def differing_assets(one: Manifest, other: Manifest) -> list[str]:
    """The logical names of which two manifests do not say the same."""
    ours, theirs = _plain(one).assets, _plain(other).assets
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


@dataclass(frozen=True, slots=True)
class DistBundle:
    """The bundle and manifest of dist/, as they were when their sums were checked."""

    manifest: Manifest
    manifest_content: bytes = field(repr=False)
    archive: bytes = field(repr=False)

    @property
    def manifest_upload(self) -> Upload:
        headers = {"Content-Type": "application/json", "Cache-Control": ALWAYS_ASK}
        return Upload(manifest_key(self.manifest.version), self.manifest_content, headers)

    def uploads(self) -> list[Upload]:
        """The assets and their variants, each held against the manifest. Raises InvalidDist."""
        members = _members(self.archive)
        if members.pop(manifest_key(self.manifest.version), None) != self.manifest_content:
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
    try:
        read = Manifest.load(manifest)
    except AssetError as error:
        raise _tampered(f"{names[0]}: {error.happened}", detail=error.detail) from None
    if read.version != version:
        raise _tampered(f"{names[0]} is of version {read.version}")
    return DistBundle(read, manifest, archive)


def _members(archive: bytes) -> dict[str, bytes]:
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
