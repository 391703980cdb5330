"""Small bundles in a folder like dist/, made by the code that makes the real one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from builder.asset_files import FileTree
from builder.asset_rules import FileType, Rules
from builder.assets import AssetSource
from builder.bundle import build_bundle
from builder.manifest import Manifest

TYPES = {
    ".css": FileType("text/css; charset=utf-8", compress=True),
    ".js": FileType("text/javascript; charset=utf-8", compress=True),
    ".png": FileType("image/png", compress=False),
}


def sample_files(number: int = 0, count: int = 6) -> dict[str, bytes]:
    """Some assets that all bundles share, and some that only this one has."""
    shared = {f"shared{i}.js": f"// shared {i}\n".encode() * (200 + 50 * i) for i in range(count // 2)}
    own = {
        f"own{i}.css": f".c{number}-{i} {{ color: red }}\n".encode() * (150 + i) for i in range(count // 2)
    }
    return {**shared, **own, "picture.png": b"\x89PNG" + bytes(range(256)) * 4}


def make_dist(folder: Path, files: Mapping[str, bytes], version: str = "1.0+svc.1") -> Manifest:
    """Write a bundle, its manifest and their sums into a folder; returns the manifest."""
    static = folder / "static"
    for name, content in files.items():
        (static / name).parent.mkdir(parents=True, exist_ok=True)
        (static / name).write_bytes(content)
    sources = [AssetSource("static", "static", FileTree("www/static", static))]
    made = build_bundle(sources, Rules(TYPES), version, 1_600_000_000, folder, 1)
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in (made.archive, made.manifest_path)
    )
    (folder / "SHA256SUMS").write_text(sums)
    return made.manifest
