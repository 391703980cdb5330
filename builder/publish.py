"""Publish the bundle of dist/: assets first, the manifest last, nothing twice.

Names say what the bytes are, so whatever is there already stays, and a publish
that was interrupted goes on where it ended. The manifest is stored only when
everything that it names is in the store.
"""

from __future__ import annotations

from dataclasses import dataclass

from builder.cdn_bundle import DistBundle, Upload
from builder.cdn_layout import ASSETS
from builder.errors import StoreConflict
from builder.store import Store


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did. `uploaded` is empty if all was there."""

    place: str
    uploaded: tuple[Upload, ...] = ()
    kept: int = 0

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
        if known != bundle.manifest_content:
            _require_same_manifest(known, bundle, store)
        if not check:
            return Published(place, kept=1)
    # What is published already never comes here, and that is to be a matter of a moment.
    from builder.turns import PUBLISHING, turn
    from builder.upload import missing_of, upload_all

    uploads = bundle.uploads()
    if dry_run:
        missing = missing_of(uploads, store.list(ASSETS), store)
        if known is None:
            missing.append(bundle.manifest_upload)
        return Published(place, tuple(missing), len(uploads) + 1 - len(missing))
    with turn(store, PUBLISHING, bundle.version) as ours:
        missing = missing_of(uploads, store.list(ASSETS), store)
        uploaded = upload_all(missing, store)
        ours.check()
        manifest = bundle.manifest_upload
        # A prune may have taken it between the first look and our turn.
        if known is None or store.get(manifest.key) is None:
            if store.create(manifest.key, manifest.content, manifest.headers):
                uploaded.append(manifest)
            elif (known := store.get(manifest.key)) != manifest.content:
                # Another publisher was quicker, or an attempt that failed had stored it.
                _require_same_manifest(known, bundle, store)
    return Published(place, tuple(uploaded), len(uploads) + 1 - len(uploaded))


def _require_same_manifest(known: bytes | None, bundle: DistBundle, store: Store) -> None:
    """Raise StoreConflict unless the two are of the same assets."""
    from builder.cdn_manifests import differing_assets, same_but_for_variants
    from builder.errors import AssetError
    from builder.manifest import Manifest

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
