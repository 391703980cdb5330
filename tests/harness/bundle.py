"""The asset bundle of a tree, laid out as in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from builder.pipeline import build_assets, open_line
from builder.tree_state import Tree
from builder.wheel_assets import packed_files
from builder.workspace import Workspace
from harness.environments import ROOT, release


def asset_folder(tree: Path, target: Path) -> Path:
    """Make the bundle of a patched tree below `target`; what a wheel has as `airflow_service/static`."""
    target.mkdir(parents=True, exist_ok=True)
    bundle, _ = build_assets(open_line(Workspace(ROOT), release()), Tree(tree), target)
    for name, content in packed_files(bundle, release()).items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return target / release().package / "static"
