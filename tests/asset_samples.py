"""What the tests of assets share: the sample's trees and rules, and made-up files."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.asset_checks import Asset
from builder.asset_files import FileTree
from builder.asset_rules import FileType, Pattern, Rule, Rules, load_rules
from builder.asset_templates import TemplateSet
from builder.assets import AssetSource, collect
from builder.bundle import Bundle, build_bundle
from builder.errors import AssetError

ROOT = Path(__file__).parents[1]
RULES = ROOT / "assets" / "1.10" / "rules.toml"
SAMPLE = Path(__file__).parent / "samples" / "assets"
EPOCH = 1_600_000_000
TYPES = {
    ".css": FileType("text/css; charset=utf-8", compress=True),
    ".js": FileType("text/javascript; charset=utf-8", compress=True),
    ".png": FileType("image/png", compress=False),
}


def sample_sources(root: Path = SAMPLE) -> tuple[list[AssetSource], list[TemplateSet]]:
    """The sample's two endpoints lead to the same folder."""
    tree = FileTree("sample", root / "static")
    templates = TemplateSet("ours", FileTree("templates", root / "templates"))
    return [AssetSource("static", "static", tree)], [templates]


def made_up(tmp_path: Path, files: dict[str, str | bytes]) -> list[AssetSource]:
    """A source with these files."""
    folder = tmp_path / "static"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return [AssetSource("static", "static", FileTree("www/static", folder))]


def collected(tmp_path: Path, files: dict[str, str | bytes], rules: Rules | None = None) -> dict[str, Asset]:
    found = collect(made_up(tmp_path, files), rules or Rules(TYPES))
    return {asset.logical: asset for asset in found}


def refusal(tmp_path: Path, files: dict[str, str | bytes], rules: Rules | None = None) -> str:
    """The message with which these files are refused."""
    with pytest.raises(AssetError) as caught:
        collected(tmp_path, files, rules)
    return caught.value.render()


def sample_rules() -> Rules:
    """The sample's rules; its second source is the first under another name."""
    rules = load_rules(SAMPLE / "rules.toml")
    keep = Rule((Pattern.of("*"),), "the sample keeps all")
    return replace(rules, keep=(keep,))


# --- the bundle ---------------------------------------------------------------------------------


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def sample_bundle(tmp_path: Path) -> Bundle:
    """The sample's bundle, with its second source, in `tmp_path / "dist"`."""
    sources, templates = sample_sources()
    sources.append(AssetSource("admin", "admin.static", FileTree("sample", SAMPLE / "static")))
    return build_bundle(
        sources,
        sample_rules(),
        "1.0+svc.1",
        EPOCH,
        tmp_path / "dist",
        2,
        templates=templates,
        cache=tmp_path / "cache",
    )
