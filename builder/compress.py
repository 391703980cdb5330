"""Precompressed variants of assets, kept in a cache by content.

The cache is what makes a rebuild cheap: brotli at its best quality takes
seconds for a whole bundle, and most assets never change.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import brotli

from builder.workspace import storage

GZIP_LEVEL = 9
BROTLI_QUALITY = 11
# RFC 1952: no name, no time, best compression, unknown system. Written here because
# Python's own header differs between its versions.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"

# HTTP's name of an encoding, and the suffix of its files.
SUFFIXES = {"br": ".br", "gzip": ".gz"}


@dataclass(frozen=True, slots=True)
class Variant:
    """An asset's bytes in one content encoding."""

    encoding: str
    content: bytes = field(repr=False)


def toolchain() -> dict[str, str]:
    """What the compressed bytes depend on, for the build record."""
    return {
        "brotli": f"{brotli.__version__} quality {BROTLI_QUALITY}",
        "zlib": f"{zlib.ZLIB_RUNTIME_VERSION} level {GZIP_LEVEL}",
    }


def gzip(content: bytes, level: int = GZIP_LEVEL) -> bytes:
    """`content` as a gzip file without name and time."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(content) + deflate.flush()
    return _GZIP_HEADER + body + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


def variants(
    contents: Sequence[bytes], cache: Path | None, jobs: int, min_saved_ratio: float, min_saved_bytes: int
) -> dict[str, list[Variant]]:
    """For each of `contents`, by sha256, the variants that are clearly smaller.

    Threads suffice: both libraries let go of the interpreter while they work.
    A brotli variant that is no smaller than gzip's is dropped. Raises
    StorageFailure if the cache cannot be written.
    """
    by_hash = {hashlib.sha256(content).hexdigest(): content for content in contents}
    # The longest job first, or the last one runs alone.
    tasks = [(digest, encoding) for digest in by_hash for encoding in ("br", "gzip")]
    tasks.sort(key=lambda task: (task[1] != "br", -len(by_hash[task[0]]), task[0]))
    if cache is not None:
        with storage(cache):
            cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        made = list(pool.map(lambda task: _cached(by_hash[task[0]], task[0], task[1], cache), tasks))
    results: dict[str, list[Variant]] = {digest: [] for digest in by_hash}
    for (digest, encoding), content in sorted(zip(tasks, made, strict=True)):
        saved = len(by_hash[digest]) - len(content)
        if saved >= max(min_saved_bytes, min_saved_ratio * len(by_hash[digest]), 1):
            results[digest].append(Variant(encoding, content))
    for digest, found in results.items():
        if len(found) == 2 and len(found[0].content) >= len(found[1].content):
            results[digest] = found[1:]  # sorted: brotli comes first
    return results


def _cached(content: bytes, digest: str, encoding: str, cache: Path | None) -> bytes:
    if cache is None:
        return _compress(content, encoding)
    tag = toolchain()["brotli" if encoding == "br" else "zlib"].replace(" ", "-")
    entry = cache / f"{digest}.{tag}{SUFFIXES[encoding]}"
    # Decoding is quick: an entry is believed only if it gives the asset back.
    with contextlib.suppress(OSError, brotli.error, zlib.error):
        known = entry.read_bytes()
        if _decompress(known, encoding) == content:
            return known
    made = _compress(content, encoding)
    _write(entry, made)
    return made


def _compress(content: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip(content)
    return bytes(brotli.compress(content, quality=BROTLI_QUALITY))


def _decompress(content: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return zlib.decompress(content, wbits=zlib.MAX_WBITS | 16)
    return bytes(brotli.decompress(content))


def _write(entry: Path, content: bytes) -> None:
    """Write by rename, so that two builds at once, or a kill, leave no half file.

    Unlike `write_atomic` without waiting for the disk: entries are checked when read.
    """
    with storage(entry):
        handle, name = tempfile.mkstemp(prefix=".new-", dir=entry.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(entry)
        except BaseException:
            Path(name).unlink()
            raise
