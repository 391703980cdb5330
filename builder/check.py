"""The checks of `./build.py check`: what can be known without building anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from builder.errors import InvalidSeries
from builder.pipeline import Line, build_tree, check_ledger, check_urls
from builder.series import Series


def check(line: Line) -> list[str]:
    """Run every check on one release; says what was checked.

    Reading the series checked its headers and its directory; making the tree
    checks that each patch applies exactly, that the applied series exports to
    the same bytes, that the overlay shadows nothing and that hooks meet.
    """
    check_named_tests(line.series, line.workspace.root)
    check_ledger(line.workspace)
    tree = build_tree(line)
    urls = check_urls(line, tree)
    count = len(line.series.patches)
    return [
        f"{count} patches: headers, series and directory agree",
        f"{count} patches apply with fuzz 0 and export to the same bytes",
        f"{len(line.overlay)} overlay files shadow nothing",
        f"every hook between {line.release.package} and upstream meets its target",
        f"{urls.files} files write no URL by hand, held against {urls.routes} routes; {urls.exceptions} exceptions",
        "every Test: names a test that is there",
        "docs/patches.md is current",
        f"the tree is {tree.path}",
    ]


def check_named_tests(series: Series, root: Path) -> None:
    """Raise InvalidSeries for a `Test:` that names no test of this checkout."""
    faults = []
    for patch in series:
        for node in patch.tests:
            path, _, names = node.partition("::")
            if not _has_test(root / path, names.split("::")):
                faults.append(f"{patch.name}: {node}")
    if faults:
        raise InvalidSeries("headers name tests that are not there", detail="\n".join(faults))


def _has_test(path: Path, names: list[str]) -> bool:
    if not path.is_file():
        return False
    body: Iterable[ast.stmt] = ast.parse(path.read_bytes(), str(path)).body
    for name in names:
        # The values of a parametrised test stand in brackets.
        wanted = name.partition("[")[0]
        found = [n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == wanted]
        if not found:
            return False
        body = found[0].body
    return True
