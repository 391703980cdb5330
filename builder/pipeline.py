"""The steps from pins to a patched tree, a wheel and a bundle, each on its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from builder import assets, ledger, wheel, wheel_assets
from builder.asset_rules import TREE, load_rules
from builder.bundle import Bundle, build_bundle
from builder.errors import CheckFailed
from builder.hooks import check_hooks
from builder.index import fetch
from builder.libraries import Library, libraries, library_files
from builder.overlay import lay_overlay, overlay_files, refuse_edited_copy
from builder.progress import step
from builder.release import Release, find_releases, load_release
from builder.series import Series, load_series
from builder.tree import make_tree
from builder.tree_state import Tree
from builder.url_check import EXCEPTIONS, Checked, check_tree, scope
from builder.workspace import Workspace, cache_home, digest, hash_files, write_atomic

JOBS = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Line:
    """One release with all that is read for it: what its outputs depend on."""

    workspace: Workspace
    release: Release
    series: Series
    overlay: dict[str, Path]

    @property
    def folder(self) -> Path:
        return self.workspace.line(self.release.version)


def open_line(workspace: Workspace, release: Release) -> Line:
    """Read a release's series and overlay. Raises InvalidSeries and InvalidOverlay."""
    return Line(workspace, release, load_series(release.directory), overlay_files(workspace.overlay, release))


def build_tree(line: Line, *, exact: bool = True) -> Tree:
    """The patched tree with the overlay in it, and every hook resolved."""
    release, workspace = line.release, line.workspace
    with step("fetch"):
        archives = fetch(release.trees, workspace.downloads)
    with step(f"patch ({len(line.series.patches)} patches)"):
        # Before the tree may be unpacked anew, and the copy with it.
        refuse_edited_copy(Tree(line.folder / "tree"), release)
        tree = make_tree(line.folder / "tree", release, line.series, archives, exact=exact)
    # What makes two builds differ: the sources, the patches and the overlay.
    build = digest(
        [source.sha256 for source in release.trees], [p.sha256 for p in line.series], hash_files(line.overlay)
    )
    lay_overlay(tree, workspace.overlay, release, build[:16])
    check_hooks(tree.path, release.package, release.upstream_packages)
    return tree


def build_bare_wheel(line: Line, tree: Tree, target: Path) -> Path:
    """The wheel as setuptools makes it of the tree, still without the asset bundle."""
    with step("wheel"):
        return wheel.build_wheel(tree, line.release, line.series, target)


def complete_wheel(line: Line, made: Path, bundle: Bundle) -> wheel.WheelDifference:
    """Put the bundle into the wheel, and hold its files against upstream's."""
    release = line.release
    with step("pack"):
        wheel_assets.pack(made, bundle, release)
        references = fetch(release.references, line.workspace.downloads)
        reference = references[release.references[0].file]
        ours = [*line.overlay, *wheel_assets.packed_files(bundle, release)]
        return wheel.check_files(made, reference, release, line.series, ours, bundle.originals)


def build_assets(line: Line, tree: Tree, target: Path) -> tuple[Bundle, list[Library]]:
    """The asset bundle with its manifest, and the JavaScript libraries in it."""
    release, workspace = line.release, line.workspace
    with step("assets"):
        wheels = fetch(release.asset_wheels, workspace.downloads)
        rules = load_rules(workspace.assets / release.assets / "rules.toml")
        by_project = {source.project: wheels[source.file] for source in release.asset_wheels}
        sources, templates = assets.release_sources(rules, tree.path, by_project, workspace.assets)
        bundle = build_bundle(
            sources, rules, release.full_version, release.source_epoch, target, JOBS,
            templates=templates, cache=cache_home() / "compressed",
        )  # fmt: skip
        return bundle, libraries(sources, rules, workspace.assets / release.assets / "libraries.toml")


def check_urls(line: Line, tree: Tree) -> Checked:
    """Raise HandWrittenUrl if the tree, or a static file of ours, writes a URL by hand.

    Scripts that libraries.toml calls a library's are not ours to mend, and know no route.
    """
    release, workspace = line.release, line.workspace
    with step("urls"):
        lists = workspace.assets / release.assets
        folders = {
            place.name: place.folder
            for place in load_rules(lists / "rules.toml").sources
            if place.origin == TREE
        }
        claimed = (name.partition("/") for name in library_files(lists / "libraries.toml"))
        third_party = (f"{folders[source]}/{path}" for source, _, path in claimed if source in folders)
        packages = (*release.upstream_packages, release.package)
        files = scope(tree.path, packages, release.wheel_without, third_party, workspace.assets / "static")
        return check_tree(files, release.directory / EXCEPTIONS)


def all_series(workspace: Workspace) -> list[tuple[Release, Series]]:
    """Every line of the distribution, for the ledger."""
    releases = [load_release(directory) for directory in find_releases(workspace.patches)]
    return [(release, load_series(release.directory)) for release in releases]


def write_ledger(workspace: Workspace) -> bool:
    """Write docs/patches.md if it is not current; says whether it did."""
    path = workspace.root / "docs" / "patches.md"
    text = ledger.render_ledger(all_series(workspace))
    if path.exists() and path.read_text("utf-8") == text:
        return False
    write_atomic(path, text)
    return True


def check_ledger(workspace: Workspace) -> None:
    """Raise CheckFailed if docs/patches.md is not what the headers say."""
    path = workspace.root / "docs" / "patches.md"
    if not path.exists() or path.read_text("utf-8") != ledger.render_ledger(all_series(workspace)):
        raise CheckFailed(f"{path} is not current", cause="a header changed", next_step="./build.py refresh")
