"""The command line: ./build.py VERB [--release VERSION]."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from builder import cdn_cli
from builder.errors import INTERRUPTED, BuildError
from builder.release import Release, select_release
from builder.workspace import Workspace, exclusive, remove_leftovers, remove_partial_files, storage

Command = Callable[[Workspace, Release, argparse.Namespace], int]


def main(argv: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Run one verb; returns the exit code. Expected failures are printed, not raised."""
    arguments = build_parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal without arrows, or an ASCII log, must not fail a build over its last line.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    workspace = Workspace(root or Path(__file__).resolve().parent.parent)
    try:
        release = select_release(workspace.patches, arguments.release)
        command: Command = arguments.command
        if not arguments.locked:
            return command(workspace, release, arguments)
        with exclusive(workspace.build):
            remove_leftovers(workspace.line(release.version))
            remove_leftovers(workspace.dist)
            remove_partial_files(release.directory)
            remove_partial_files(workspace.root / "docs")
            with storage(workspace.root):
                return command(workspace, release, arguments)
    except BuildError as error:
        print(error.render(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; nothing is half-written, and the next run goes on from here", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """The parser of every verb; each sets `command` to the function that does it."""
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__)
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, command: Command, summary: str, locked: bool = True) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=summary, description=summary)
        added.add_argument(
            "--release", metavar="VERSION", help="a directory below patches/ (default: the one marked so)"
        )
        added.set_defaults(command=command, locked=locked)
        return added

    verb("fetch", _fetch, "download and verify every pinned file")
    verb("patch", _patch, "make the patched tree")
    verb("check", _check, "check the series, the overlay, the hooks and the ledger")
    verb("wheel", _wheel, "build the wheel alone")
    verb("assets", _assets, "build the asset bundle alone")
    verb("dist", _dist, "make everything that dist/ holds")
    added = verb("lock", _lock, "resolve the dependencies and write the lock")
    added.add_argument(
        "--upgrade", action="store_true", help="take the newest versions, not those locked so far"
    )
    added = verb("wheelhouse", _wheelhouse, "collect every wheel for an install without network")
    added.add_argument(
        "--python", action="append", metavar="X.Y", help="for this Python (default: the running one)"
    )
    added = verb("refresh", _refresh, "export the tree's commits as the series, and write the ledger")
    group = added.add_mutually_exclusive_group()
    group.add_argument(
        "--into", metavar="NAME", help="make the tree's uncommitted changes part of this patch first"
    )
    group.add_argument("--accept-moved", action="store_true", help="apply anew, and accept hunks that moved")
    added = verb("new-patch", _new_patch, "make the tree's uncommitted changes a new patch")
    added.add_argument("name", metavar="NAME", help="as some-words.patch")
    added.add_argument("--subject", required=True, help="what the patch does, in a line")
    added.add_argument("--reason", required=True, help="why")
    added.add_argument("--removal", required=True, help="the condition under which the patch goes")
    added.add_argument("--test", required=True, help="node ids of the tests that fail without it")
    added.add_argument("--forwarded", default="no", help="no, not-needed, or a URL (default: no)")
    added.add_argument("--oversize", help="why it is larger than a patch should be")
    added = verb("rebase", _rebase, "try the series on another version, and report")
    added.add_argument("version", metavar="VERSION", help="as 1.10.14")
    added.add_argument("--json", action="store_true", help="print the report as JSON")
    added = verb("clean", _clean, "remove what the build made, but neither dist/ nor downloads")
    added.add_argument("--tree", action="store_true", help="the patched tree only, with any work in it")
    # Not one at a time as builds are: these neither read what is being made nor write here.
    cdn_cli.add_verbs(verb)
    return parser


# The verbs import what they need: `--help` and a build that is current stay quick.


def _fetch(workspace: Workspace, release: Release, _: argparse.Namespace) -> int:
    from builder.index import fetch

    for path in fetch(release.sources, workspace.downloads).values():
        print(path)
    return 0


def _patch(workspace: Workspace, release: Release, _: argparse.Namespace) -> int:
    from builder.pipeline import build_tree, open_line

    print(build_tree(open_line(workspace, release)).path)
    return 0


def _check(workspace: Workspace, release: Release, _: argparse.Namespace) -> int:
    from builder.check import check
    from builder.pipeline import open_line

    print("\n".join(check(open_line(workspace, release))))
    return 0


def _wheel(workspace: Workspace, release: Release, _: argparse.Namespace) -> int:
    from builder.pipeline import build_assets, build_bare_wheel, build_tree, complete_wheel, open_line

    line = open_line(workspace, release)
    tree = build_tree(line)
    bundle = build_assets(line, tree, line.folder)[0]
    made = build_bare_wheel(line, tree, line.folder)
    difference = complete_wheel(line, made, bundle)
    print(f"{made}\n{difference.summary}")
    return 0


def _assets(workspace: Workspace, release: Release, _: argparse.Namespace) -> int:
    from builder.pipeline import build_assets, build_tree, open_line

    line = open_line(workspace, release)
    made = build_assets(line, build_tree(line), line.folder)
    print(made[0].archive)
    return 0


def _dist(workspace: Workspace, release: Release, _: argparse.Namespace) -> int:
    outputs = _ensure_dist(workspace, release)
    for path in outputs:
        print(f"{path.stat().st_size:>12,}  {path.relative_to(workspace.root)}")
    if not outputs:
        print(f"dist/ is current: {release.name} {release.full_version}")
    return 0


def _ensure_dist(workspace: Workspace, release: Release) -> list[Path]:
    """Make dist/ unless it is current; returns what was made."""
    from builder.freshness import inputs_key, is_current

    key = inputs_key(workspace, release)
    if is_current(workspace, release, key):
        return []
    from builder.distribution import dist
    from builder.pipeline import open_line

    return dist(open_line(workspace, release), key)


def _lock(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.lock import make_lock
    from builder.pipeline import build_bare_wheel, build_tree, open_line

    line = open_line(workspace, release)
    made = build_bare_wheel(line, build_tree(line), line.folder)
    for path in make_lock(release, made, upgrade=arguments.upgrade):
        print(path.relative_to(workspace.root))
    return 0


def _wheelhouse(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.wheelhouse import make_wheelhouse, require_supported

    pythons = arguments.python or [f"{sys.version_info.major}.{sys.version_info.minor}"]
    for python in pythons:
        require_supported(release, python)
    _ensure_dist(workspace, release)
    for python in pythons:
        target = workspace.dist / f"wheelhouse-py{python}"
        print(make_wheelhouse(release, python, workspace.dist / release.wheel_name, target))
    return 0


def _refresh(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.authoring import fold_into, refresh
    from builder.pipeline import build_tree, open_line, write_ledger
    from builder.tree_state import Tree

    tree = Tree(workspace.line(release.version) / "tree")
    if arguments.accept_moved or not tree.git_folder.is_dir():
        tree = build_tree(open_line(workspace, release), exact=not arguments.accept_moved)
    if arguments.into:
        fold_into(tree, release.directory, arguments.into)
    report = refresh(tree, release.directory)
    if write_ledger(workspace):
        report.append("written: docs/patches.md")
    print("\n".join(report) or "the series is what the tree holds")
    return 0


def _new_patch(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.authoring import new_patch
    from builder.pipeline import build_tree, open_line
    from builder.tree_state import Tree

    tree = Tree(workspace.line(release.version) / "tree")
    if not tree.git_folder.is_dir():
        tree = build_tree(open_line(workspace, release))
    fields = {"Forwarded": arguments.forwarded, "Removal": arguments.removal, "Test": arguments.test}
    if arguments.oversize:
        fields["Oversize"] = arguments.oversize
    new_patch(tree, release.directory, arguments.name, arguments.subject, arguments.reason, fields)
    arguments.into, arguments.accept_moved = None, False
    return _refresh(workspace, release, arguments)


def _rebase(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    from builder.rebase import rebase_report
    from builder.series import load_series

    report = rebase_report(workspace, release, load_series(release.directory), arguments.version)
    print(json.dumps(report.as_json(), indent=2) if arguments.json else report.as_text())
    return 0


def _clean(workspace: Workspace, release: Release, arguments: argparse.Namespace) -> int:
    import shutil

    from builder.author_work import refuse_removal
    from builder.overlay import refuse_edited_copy
    from builder.tree_state import Tree

    folder = workspace.line(release.version)
    tree = Tree(folder / "tree")
    if tree.git_folder.is_dir() and not arguments.tree:
        refuse_removal(tree)
        refuse_edited_copy(tree, release)
    target = tree.path if arguments.tree else folder
    if target.exists():
        shutil.rmtree(target)
    return 0
