"""Compare objects with what the store holds, and upload what is missing, many at once."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable

import brotli

from builder.cdn_bundle import Upload
from builder.errors import StoreBusy, StoreConflict
from builder.parallel import in_parallel
from builder.progress import progress
from builder.store import Store, Stored

# Small objects wait for the line more than they fill it.
WORKERS = 32


def missing_of(uploads: list[Upload], present: dict[str, Stored], store: Store) -> list[Upload]:
    """What is not in the store. Raises StoreConflict if something else is."""
    missing = [upload for upload in uploads if upload.key not in present]
    doubtful = [
        upload
        for upload in uploads
        if (stored := present.get(upload.key)) is not None and not _surely_same(upload, stored)
    ]
    require_same(doubtful, store)
    return missing


def _surely_same(upload: Upload, stored: Stored) -> bool:
    """Whether the listing alone proves that the stored bytes are ours.

    An ETag is the content's MD5, unless the object was encrypted or stored in
    parts: then the bytes are read.
    """
    digest = hashlib.md5(upload.content, usedforsecurity=False).hexdigest()
    return stored.size == len(upload.content) and stored.etag == digest


def upload_all(uploads: list[Upload], store: Store) -> list[Upload]:
    """Store objects at the same time; returns those that were not there."""
    uploads = sorted(uploads, key=lambda upload: -len(upload.content))
    stored: list[Upload] = []
    met: list[Upload] = []
    with progress("publishing", sum(len(upload.content) for upload in uploads)) as advance:
        for upload, created in in_parallel(
            lambda one: store.create(one.key, one.content, one.headers), uploads, WORKERS
        ):
            advance(len(upload.content))
            (stored if created else met).append(upload)
    # Another publisher stored these meanwhile, or an attempt of ours whose answer was lost.
    require_same(met, store)
    return stored


def require_same(uploads: Iterable[Upload], store: Store) -> None:
    """Compare with the store's bytes.

    Raises StoreConflict with every name that differs, and StoreBusy with those that are gone.
    """
    different: list[Upload] = []
    vanished: list[Upload] = []
    for upload, content in in_parallel(lambda one: store.get(one.key), list(uploads), WORKERS):
        if content is None:
            vanished.append(upload)
        elif content != upload.content and _decoded(content, upload.encoding) != _decoded(
            upload.content, upload.encoding
        ):
            different.append(upload)
    if different:
        raise StoreConflict(
            f"{store.place.url()} holds something else under {len(different)} of our names; nothing was overwritten",
            detail=_listed(different, store),
            cause="an upload by another tool that was cut off or changed the bytes, or somebody else's files",
            next_step="look at them, delete those that are damaged, and run the same command again",
        )
    if vanished:
        raise StoreBusy(
            f"{len(vanished)} objects that were in {store.place.url()} are gone; the manifest was not stored",
            detail=_listed(vanished, store),
            cause="somebody who deletes while this publishes: another tool, or a lifecycle rule",
            next_step="run the same command again: it uploads them anew",
        )


def _listed(uploads: list[Upload], store: Store) -> str:
    return "\n".join(sorted(store.place.url(upload.key) for upload in uploads))


def _decoded(content: bytes, encoding: str) -> bytes | None:
    """What a reader gets; None of damaged bytes. Two machines' compressors may give other bytes for it."""
    if not encoding:
        return content
    try:
        return bytes(brotli.decompress(content)) if encoding == "br" else gzip.decompress(content)
    except (brotli.error, OSError, EOFError, zlib.error):
        return None
