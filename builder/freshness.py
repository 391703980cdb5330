"""Whether `dist/` is what its inputs would give: read before anything heavy is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from builder.release import Release
from builder.workspace import Workspace, digest, hash_files, json_text, read_json, tree_files, write_atomic


def input_hashes(workspace: Workspace, release: Release) -> dict[str, dict[str, str]]:
    """The sha256 of every file that the outputs are made from, by room and path."""
    rooms = {
        "builder": workspace.root / "builder",
        "requirements": workspace.root / "requirements",
        "assets": workspace.assets,
        "overlay": workspace.overlay,
        "patches": release.directory,
    }
    return {room: hash_files(tree_files(folder)) for room, folder in rooms.items()}


def inputs_key(workspace: Workspace, release: Release) -> str:
    """One value that changes with any input, the running Python among them."""
    return digest(input_hashes(workspace, release), sys.version)


def _stamp(workspace: Workspace, release: Release) -> Path:
    return workspace.line(release.version) / "dist.json"


def is_current(workspace: Workspace, release: Release, key: str) -> bool:
    """Whether dist/ holds, unchanged, what the inputs with this key gave before."""
    made = read_json(_stamp(workspace, release))
    if not isinstance(made, dict) or made.get("inputs") != key:
        return False
    present = {name: workspace.dist / name for name in made["outputs"]}
    return all(path.is_file() for path in present.values()) and hash_files(present) == made["outputs"]


def mark_current(workspace: Workspace, release: Release, key: str, outputs: Sequence[Path]) -> None:
    """Remember that the inputs with this key, taken before any was read, gave these outputs."""
    hashes = hash_files({path.name: path for path in outputs})
    write_atomic(_stamp(workspace, release), json_text({"inputs": key, "outputs": hashes}))
