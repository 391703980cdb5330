"""Names of assets: the logical one, and the hashed one that goes on the CDN."""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata

# 80 bits: no accident makes two assets meet, and subresource integrity covers the rest.
HASH_LENGTH = 20
# A hashed name and a variant's suffix stay far below the 255 bytes of any file system.
MAX_STEM = 100

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
HASHED_NAME = re.compile(rf"(?!\.)[A-Za-z0-9._-]+\.(?P<hash>[0-9a-f]{{{HASH_LENGTH}}})(?:\.[A-Za-z0-9_-]+)?")


def hashed_name(path: str, content: bytes) -> str:
    """The flat name of an asset: `x.min.js` becomes `x.min.<hash>.js`.

    Only the base name of `path` counts. What a URL or a file system could stumble
    over becomes `-`, so that no one who uses the name needs to quote it.
    """
    stem, extension = posixpath.splitext(posixpath.basename(path))
    stem = _UNSAFE.sub("-", stem).lstrip(".")[:MAX_STEM] or "asset"
    extension = _UNSAFE.sub("-", extension) if len(extension) > 1 else ""
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:HASH_LENGTH]}{extension}"


def name_fault(path: str) -> str:
    """Why `path` cannot be a logical name below its source, or nothing."""
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "is not a plain path below its folder"
    if "\\" in path or ":" in parts[0]:
        return "has a backslash or a drive in it"
    if not path.isprintable():
        return "has a character that does not print"
    if unicodedata.normalize("NFC", path) != path:
        return "is not in Unicode's composed form (NFC): two systems would disagree about it"
    return ""


def same_but_for_case(names: list[str]) -> list[tuple[str, str]]:
    """Pairs of different names that some file systems take for one."""
    seen: dict[str, str] = {}
    pairs = []
    for name in sorted(set(names)):
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            pairs.append((first, name))
    return pairs
