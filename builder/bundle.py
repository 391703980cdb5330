"""The asset bundle: hashed files, their variants and the manifest, in one archive."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder import compress
from builder.asset_checks import Asset
from builder.asset_names import same_but_for_case
from builder.asset_rules import Group, Rules
from builder.asset_templates import TemplateSet
from builder.assets import AssetSource, collect
from builder.errors import AssetError
from builder.manifest import Encoding, Entry, Manifest
from builder.workspace import write_atomic

# Most of the archive is compressed already: a higher level costs time and saves nothing.
_ARCHIVE_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Bundle:
    """What `build_bundle` made. Sizes are in bytes."""

    archive: Path
    manifest_path: Path
    manifest: Manifest
    toolchain: dict[str, str]
    files: Mapping[str, bytes] = field(repr=False)
    """The archive's members."""
    originals: frozenset[str]
    """The files that the assets were made from, as paths in their tree or wheel."""

    def largest(self, count: int) -> list[tuple[str, Entry]]:
        """The assets with the most bytes, logical name first."""
        return sorted(self.manifest.assets.items(), key=lambda item: (-item[1].size, item[0]))[:count]

    def totals(self) -> dict[str, int]:
        """Count of objects, and bytes to fetch for all of them, by encoding.

        An asset without a variant counts with its plain size.
        """
        objects = {entry.name: entry for entry in self.manifest.assets.values()}.values()
        totals = {
            "assets": len(self.manifest.assets),
            "objects": len(objects),
            "plain": 0,
            "gzip": 0,
            "br": 0,
        }
        for entry in objects:
            totals["plain"] += entry.size
            for encoding in ("gzip", "br"):
                variant = entry.encodings.get(encoding)
                totals[encoding] += variant.size if variant else entry.size
        return totals


def build_bundle(
    sources: Sequence[AssetSource],
    rules: Rules,
    version: str,
    epoch: int,
    out_dir: Path,
    jobs: int,
    *,
    templates: Sequence[TemplateSet] = (),
    cache: Path | None = None,
) -> Bundle:
    """Write `airflow-assets-<version>.tar.gz` and `manifest-<version>.json`.

    `epoch` is the time of every member, in seconds. Each file appears under its
    name only when it is whole. Raises AssetError and StorageFailure.
    """
    assets = collect(sources, rules, templates)
    to_compress = [asset.content for asset in assets if asset.compress]
    found = compress.variants(to_compress, cache, jobs, rules.min_saved_ratio, rules.min_saved_bytes)
    files: dict[str, bytes] = {}
    entries: dict[str, Entry] = {}
    for asset in assets:
        digest = hashlib.sha256(asset.content).hexdigest()
        kept = found.get(digest, []) if asset.compress else []
        entries[asset.logical] = _entry(asset, digest, kept)
        files[f"a/{asset.name}"] = asset.content
        files |= {f"a/{asset.name}{compress.SUFFIXES[v.encoding]}": v.content for v in kept}
    if pairs := same_but_for_case([*files]):
        raise AssetError(
            "assets whose hashed names differ only by case",
            detail="\n".join(f"{one} and {other}" for one, other in pairs),
        )
    manifest = Manifest(version, entries, _groups(rules.groups, [*entries]))
    content = manifest.dump()
    files[f"manifests/{version}.json"] = content
    archive, beside = out_dir / f"airflow-assets-{version}.tar.gz", out_dir / f"manifest-{version}.json"
    write_atomic(archive, compress.gzip(_tar(files, epoch), _ARCHIVE_LEVEL))
    write_atomic(beside, content)
    trees = {source.name: source.tree for source in sources}
    parts = [logical.partition("/") for logical in entries]
    originals = frozenset(trees[source].shown(path) for source, _, path in parts)
    return Bundle(archive, beside, manifest, compress.toolchain(), files, originals)


def _entry(asset: Asset, digest: str, variants: list[compress.Variant]) -> Entry:
    return Entry(
        name=asset.name,
        size=len(asset.content),
        type=asset.content_type,
        sha256=digest,
        integrity="sha384-" + base64.b64encode(hashlib.sha384(asset.content).digest()).decode(),
        encodings={
            variant.encoding: Encoding(len(variant.content), hashlib.sha256(variant.content).hexdigest())
            for variant in variants
        },
    )


def _groups(groups: Sequence[Group], names: list[str]) -> dict[str, dict[str, str]]:
    """The groups of the manifest; each of them names files that are in it."""
    return {group.name: group.members(names)[0] for group in groups}


def _tar(files: dict[str, bytes], epoch: int) -> bytes:
    """An archive whose bytes depend on nothing but its arguments."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(files[name]), epoch, 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()
