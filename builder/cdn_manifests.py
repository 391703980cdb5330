"""What manifests name, and whether two of them are of the same assets."""

from __future__ import annotations

import dataclasses

from builder.cdn_layout import ASSETS, SUFFIXES
from builder.manifest import Manifest


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
