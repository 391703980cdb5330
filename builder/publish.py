"""Publish the bundle of dist/: assets first, the manifest last, nothing twice.

Names say what the bytes are, so whatever is there already stays, and a publish
that was interrupted goes on where it ended. The manifest is stored only when
everything that it names is in the store.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import brotli

from builder.cdn_bundle import (
    ASSETS,
    DistBundle,
    Upload,
    differing_assets,
    same_but_for_variants,
)
from builder.errors import AssetError, StoreConflict
from builder.manifest import Manifest
from builder.parallel import in_parallel
from builder.progress import progress
from builder.store import Store, Stored
from builder.turns import PUBLISHING, turn

WORKERS = 16


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did. `uploaded` is empty if all was there."""

    place: str
    uploaded: tuple[Upload, ...] = ()
    kept: int = 0
    nothing_to_do: bool = False

    @property
    def size(self) -> int:
        """Bytes that were uploaded, or would be."""
        return sum(len(upload.content) for upload in self.uploaded)


def publish(bundle: DistBundle, store: Store, *, check: bool = False, dry_run: bool = False) -> Published:
    """Bring everything of the bundle into the store that is not there yet.

    A manifest that is there proves its assets, since it was stored last: with
    `check` they are looked at all the same, and missing ones uploaded. With
    `dry_run` nothing is stored. Raises StoreConflict if the store holds
    something else under one of the names, and the store's failures.
    """
    place = store.place.url()
    known = store.get(bundle.manifest_upload.key)
    if known is not None:
        _require_same_manifest(known, bundle, store)
        if not check:
            return Published(place, kept=1, nothing_to_do=True)
    uploads = bundle.uploads()
    if dry_run:
        missing = _missing(uploads, store.list(ASSETS), store)
        if known is None:
            missing.append(bundle.manifest_upload)
        return Published(place, tuple(missing), len(uploads) + 1 - len(missing))
    with turn(store, PUBLISHING, f"{bundle.manifest.version} by {os.uname().nodename}") as ours:
        missing = _missing(uploads, store.list(ASSETS), store)
        uploaded = _upload(missing, store)
        ours.check()
        manifest = bundle.manifest_upload
        if known is None:
            if store.create(manifest.key, manifest.content, manifest.headers):
                uploaded.append(manifest)
            else:
                # Another publisher was quicker, or an attempt that failed had stored it.
                _require_same_manifest(store.get(manifest.key), bundle, store)
    return Published(place, tuple(uploaded), len(uploads) + 1 - len(uploaded))


def _missing(uploads: list[Upload], present: dict[str, Stored], store: Store) -> list[Upload]:
    """What is not in the store. Raises StoreConflict if something else is."""
    missing = [upload for upload in uploads if upload.key not in present]
    doubtful = [
        upload
        for upload in uploads
        if (stored := present.get(upload.key)) is not None and not _surely_same(upload, stored)
    ]
    _require_same(doubtful, store)
    return missing


def _surely_same(upload: Upload, stored: Stored) -> bool:
    """Whether the listing alone proves that the stored bytes are ours.

    An ETag is the content's MD5, unless the object was encrypted or stored in
    parts: then the bytes are read.
    """
    digest = hashlib.md5(upload.content, usedforsecurity=False).hexdigest()
    return stored.size == len(upload.content) and stored.etag == digest


def _upload(uploads: list[Upload], store: Store) -> list[Upload]:
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
    _require_same(met, store)
    return stored


def _require_same(uploads: Iterable[Upload], store: Store) -> None:
    """Compare with the store's bytes. Raises StoreConflict with every name that differs."""
    different = [
        upload
        for upload, content in in_parallel(lambda one: store.get(one.key), list(uploads), WORKERS)
        if content != upload.content
        and _decoded(content, upload.encoding) != _decoded(upload.content, upload.encoding)
    ]
    if different:
        raise StoreConflict(
            f"{store.place.url()} holds something else under {len(different)} of our names; nothing was overwritten",
            detail="\n".join(sorted(store.place.url(upload.key) for upload in different)),
            cause="an upload by another tool that was cut off or changed the bytes, or somebody else's files",
            next_step="look at them, delete those that are damaged, and run the same command again",
        )


def _decoded(content: bytes | None, encoding: str) -> bytes | None:
    """What a reader gets. Two machines' compressors may give other bytes for it."""
    if content is None or not encoding:
        return content
    try:
        return bytes(brotli.decompress(content)) if encoding == "br" else gzip.decompress(content)
    except (brotli.error, OSError, EOFError, zlib.error):
        return None


def _require_same_manifest(known: bytes | None, bundle: DistBundle, store: Store) -> None:
    if known == bundle.manifest_content:
        return
    try:
        theirs = Manifest.load(known or b"")
        names = differing_assets(theirs, bundle.manifest)
        if same_but_for_variants(theirs, bundle.manifest):
            return
    except AssetError as error:
        names = [error.happened]
    raise StoreConflict(
        f"{store.place.url(bundle.manifest_upload.key)} is there and is another; nothing was overwritten",
        detail="\n".join(names[:20] + ([f"and {len(names) - 20} more"] if len(names) > 20 else [])),
        cause="this version was published from other inputs: a version means one set of assets, for ever",
        next_step="raise `revision` in upstream.toml, ./build.py dist, and publish that",
    )
