"""The asset bundle inside the wheel, in place of the static files that it was made from.

The webserver serves the same hashed names as the CDN. The bundle is added to the
finished wheel rather than to its sources, so that the two are made side by side.
"""

from __future__ import annotations

import base64
import hashlib
import stat
import zipfile
from pathlib import Path

from builder.bundle import Bundle
from builder.compress import SUFFIXES
from builder.errors import WheelError
from builder.overlay import BUNDLE_FOLDER
from builder.release import Release
from builder.workspace import storage


def packed_files(bundle: Bundle, release: Release) -> dict[str, bytes]:
    """The bundle's files by their path in the wheel."""
    folder = f"{release.package}/{BUNDLE_FOLDER}"
    return {
        f"{folder}/manifest.json" if name.startswith("manifests/") else f"{folder}/{name}": content
        for name, content in bundle.files.items()
    }


def pack(wheel: Path, bundle: Bundle, release: Release) -> None:
    """Rewrite a wheel with the bundle in it, and without the files that it was made from.

    Raises WheelError if the wheel holds a file in the bundle's place.
    """
    added = packed_files(bundle, release)
    packed = wheel.with_name(f"{wheel.name}.packed")
    with storage(packed), zipfile.ZipFile(wheel) as old, zipfile.ZipFile(packed, "w") as new:
        members = old.infolist()
        if taken := sorted(added.keys() & {member.filename for member in members}):
            raise WheelError(
                "the wheel has files in the place of the asset bundle's",
                detail="\n".join(taken),
                cause=f"{release.package}/{BUNDLE_FOLDER} is the build's",
            )
        kept = [member for member in members if member.filename not in bundle.originals]
        *metadata, record = [member for member in kept if ".dist-info/" in member.filename]
        contents = [(member, old.read(member)) for member in kept if ".dist-info/" not in member.filename]
        contents += [(_member(name, record), added[name]) for name in sorted(added)]
        # What installers read first stands last, and the list of all files at the very end.
        contents += [(member, old.read(member)) for member in metadata]
        lines = [_record_line(member.filename, content) for member, content in contents]
        contents.append((record, "".join([*lines, f"{record.filename},,\n"]).encode()))
        for member, content in contents:
            new.writestr(member, content, member.compress_type)
    packed.replace(wheel)
    wheel.chmod(0o644)


def _member(name: str, like: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """A member for a file of the bundle, with the time that all others have."""
    member = zipfile.ZipInfo(name, like.date_time)
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    compressed = name.endswith(tuple(SUFFIXES.values()))
    member.compress_type = zipfile.ZIP_STORED if compressed else zipfile.ZIP_DEFLATED
    return member


def _record_line(name: str, content: bytes) -> str:
    """A line of RECORD. No name of ours or of upstream's needs CSV's quotes."""
    if "," in name or '"' in name:
        raise WheelError(f"{name!r} cannot stand in a wheel's RECORD", cause="a comma or quote in a file's name")
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"
