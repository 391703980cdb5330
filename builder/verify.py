"""Read a published bundle back through the CDN's own URL, as browsers will.

Each asset is asked for twice: plainly and without an Origin first, then as a
page of another origin asks for it. A CDN that keeps the first answer for the
second shows here, and not at the first user.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import re
import zlib
from dataclasses import dataclass

import brotli

from builder.cdn_client import Answer, Cdn
from builder.cdn_layout import ASSETS, SUFFIXES, manifest_key
from builder.cdn_manifests import same_but_for_variants
from builder.errors import AssetError, CdnFault
from builder.manifest import Entry, Manifest
from builder.parallel import in_parallel
from builder.progress import progress

WORKERS = 12
# The least that lets a browser never ask again for what it has: a year, as HTTP counts one.
_YEAR = 31_536_000
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d+)")
_BROWSER = "gzip, deflate, br"
# Other types, such as fonts of old browsers, gain little, and many CDNs leave them as they are.
_TEXT = ("text/", "application/json", "image/svg+xml")
# Whose page asks, where nobody says: a CDN must answer any alike.
_PAGE = "https://airflow.example"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read back without a fault."""

    version: str
    objects: int
    notes: tuple[str, ...]


def verify(
    cdn: Cdn, version: str, ours: Manifest | None, *, origin: str = _PAGE, compressed: bool = True
) -> Verified:
    """Hold all that the CDN serves of one version against its manifest.

    `ours` is the manifest of dist/; without it the CDN's own is believed.
    With `compressed`, an asset that has variants must come compressed to a
    browser. Raises CdnFault with every fault, and StoreUnavailable.
    """
    faults, notes, manifest = _manifest(cdn, version, ours)
    entries = list({entry.name: entry for entry in manifest.assets.values()}.values()) if manifest else []
    objects = 0
    with progress("verifying", len(entries)) as advance:
        look = _Look(cdn, origin, compressed)
        for entry, found in in_parallel(look, entries, WORKERS):
            advance(1)
            objects += 1 + len(entry.encodings)
            faults += [fault for fault in found if not fault.startswith("note: ")]
            notes += [fault for fault in found if fault.startswith("note: ")]
    if faults:
        raise CdnFault(
            f"{cdn.url} has {len(faults)} fault{'s' if len(faults) > 1 else ''} in {version}",
            detail="\n".join(sorted(faults)),
            cause="a publish that is missing, or settings of the CDN or the bucket that are not those of docs/cdn.md",
            next_step="mend the settings or publish, empty the CDN's cache, and run the same command again",
        )
    return Verified(version, objects + 1, tuple(sorted(notes)))


def _manifest(cdn: Cdn, version: str, ours: Manifest | None) -> tuple[list[str], list[str], Manifest | None]:
    key = manifest_key(version)
    answer = cdn.get(key, {"Accept-Encoding": "identity"})
    if answer.status != 200:
        return [f"{key}: {_status(answer)}"], [], ours
    faults: list[str] = []
    if _fresh_for(answer) > 300 or "immutable" in answer.header("cache-control"):
        faults.append(
            f"{key}: Cache-Control {answer.header('cache-control')!r} would hide a prune or an upload"
        )
    try:
        theirs = Manifest.load(answer.body)
    except AssetError as error:
        return [*faults, f"{key}: {error.happened}"], [], ours
    if ours is None:
        return (
            faults,
            ["note: there is no manifest of this version in dist/, so the CDN's own was believed"],
            theirs,
        )
    if not same_but_for_variants(theirs, ours):
        faults.append(f"{key}: it is not the manifest that dist/ holds")
    return faults, [], ours


class _Look:
    """The faults of one asset, and notes about it."""

    def __init__(self, cdn: Cdn, origin: str, compressed: bool) -> None:
        self._cdn = cdn
        self._origin = origin
        self._compressed = compressed

    def __call__(self, entry: Entry) -> list[str]:
        key = f"{ASSETS}{entry.name}"
        plain = self._cdn.get(key, {"Accept-Encoding": "identity"})
        if plain.status != 200:
            return [f"{key}: {_status(plain)}"]
        found = self._common(entry, plain)
        if plain.header("content-encoding"):
            found.append(f"is {plain.header('content-encoding')} although that was not accepted")
        shown = self._cdn.get(key, {"Accept-Encoding": _BROWSER, "Origin": self._origin})
        found += self._as_browser(entry, shown)
        faults = [_with_key(key, fault) for fault in found]
        for encoding, variant in entry.encodings.items():
            faults += self._variant(entry, encoding, variant.sha256)
        return list(dict.fromkeys(faults))

    def _as_browser(self, entry: Entry, answer: Answer) -> list[str]:
        if answer.status != 200:
            return [f"to a browser: {_status(answer)}"]
        found = self._common(entry, answer)
        allowed = answer.header("access-control-allow-origin")
        if allowed not in ("*", self._origin):
            found.append(
                f"Access-Control-Allow-Origin is {allowed!r}: browsers refuse scripts, styles and fonts"
            )
        elif allowed != "*" and "origin" not in answer.listed("vary"):
            found.append("Access-Control-Allow-Origin names one origin, without Vary: Origin")
        encoded = answer.header("content-encoding")
        if encoded and not answer.listed("vary") & {"accept-encoding", "*"}:
            found.append("comes compressed without Vary: Accept-Encoding")
        if self._compressed and entry.encodings and entry.type.startswith(_TEXT) and not encoded:
            found.append("comes uncompressed to a browser that accepts gzip and br")
        return found

    def _variant(self, entry: Entry, encoding: str, sha256: str) -> list[str]:
        key = f"{ASSETS}{entry.name}{SUFFIXES[encoding]}"
        answer = self._cdn.get(key, {"Accept-Encoding": encoding, "Origin": self._origin})
        if answer.status != 200:
            return [f"{key}: {_status(answer)}"]
        if answer.header("content-encoding") != encoding:
            return [f"{key}: Content-Encoding is {answer.header('content-encoding')!r}, not {encoding}"]
        found = self._common(entry, answer)
        if not found and hashlib.sha256(answer.body).hexdigest() != sha256:
            found.append(
                "note: other bytes than the manifest's, of the same content: another machine's compressor"
            )
        return [_with_key(key, fault) for fault in found]

    def _common(self, entry: Entry, answer: Answer) -> list[str]:
        """What must hold of an asset, however it was asked for."""
        found = []
        try:
            content = _decode(answer.body, answer.header("content-encoding"))
        except (brotli.error, OSError, EOFError, zlib.error, ValueError) as error:
            return [f"cannot be decoded: {error}"]
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            found.append(f"other bytes: {len(content)} of them, not the {entry.size} that were built")
        if _media_type(answer.header("content-type")) != _media_type(entry.type):
            found.append(f"Content-Type is {answer.header('content-type')!r}, not {entry.type!r}")
        if _fresh_for(answer) < _YEAR or "immutable" not in answer.listed("cache-control"):
            found.append(f"Cache-Control is {answer.header('cache-control')!r}, not for a year and immutable")
        if "set-cookie" in answer.headers:
            found.append("sets a cookie, with which no cache keeps it")
        return found


def _with_key(key: str, fault: str) -> str:
    return f"note: {key}: {fault.removeprefix('note: ')}" if fault.startswith("note: ") else f"{key}: {fault}"


def _status(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return (
            f"{answer.status}, a redirect to {answer.header('location')}: an asset's URL must answer itself"
        )
    return f"{answer.status} {http.client.responses.get(answer.status, '')}"


def _fresh_for(answer: Answer) -> int:
    found = _MAX_AGE.search(answer.header("cache-control").lower())
    return int(found[1]) if found else 0


def _media_type(value: str) -> tuple[str, ...]:
    """A media type and its parameters, without what may be written in several ways."""
    return tuple(part.strip().lower().replace('"', "") for part in value.split(";"))


def _decode(body: bytes, encoding: str) -> bytes:
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "br":
            return bytes(brotli.decompress(body))
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
    raise ValueError(f"unknown Content-Encoding {encoding!r}")
