"""Check that both sides of every hook exist, by reading the code, not by running it.

A patch calls into our package, and our package reaches into upstream's. When a
new release drops or renames what is reached for, the build says so at once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.errors import MissingHook


@dataclass(frozen=True, slots=True)
class Reach:
    """One import across the border: who imports which name from which module."""

    file: Path
    line: int
    module: str
    name: str | None


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise MissingHook(
            f"{path} is no Python that can be read: {error}",
            cause="a patch, or an edit of the overlay, broke it",
        ) from None


def _imports(path: Path, packages: tuple[str, ...]) -> Iterator[Reach]:
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module.split(".")[0] in packages:
                for alias in node.names:
                    yield Reach(path, node.lineno, node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in packages:
                    yield Reach(path, node.lineno, alias.name, None)


def _module_file(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _defined(path: Path) -> set[str] | None:
    """The names that a module binds; None if only running it would tell."""
    names: set[str] = set()
    for node in _module_level(_parse(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Global(names=found):
                names.update(found)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names.update((alias.asname or alias.name).split(".")[0] for alias in aliases)
    dynamic = "*" in names or "__getattr__" in names
    return None if dynamic else names


def _module_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node whose names are the module's: of functions and classes only the head.

    A function's `global` is told apart from its local names.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.Global))
        else:
            waiting += ast.iter_child_nodes(node)


def _exists(root: Path, reach: Reach) -> bool:
    path = _module_file(root, reach.module)
    if path is None:
        return (
            root.joinpath(*reach.module.split(".")).is_dir()
            and reach.name is not None
            and (_module_file(root, f"{reach.module}.{reach.name}") is not None)
        )
    if reach.name is None or reach.name == "*" or _module_file(root, f"{reach.module}.{reach.name}"):
        return True
    defined = _defined(path)
    return defined is None or reach.name in defined


def check_hooks(tree: Path, package: str, upstream: tuple[str, ...]) -> int:
    """Resolve every import between our package and upstream's; returns how many.

    Raises MissingHook with each import whose module or name is not there.
    """
    ours = sorted((tree / package).rglob("*.py"))
    theirs = [path for name in upstream for path in sorted((tree / name).rglob("*.py"))]
    reaches = [reach for path in ours for reach in _imports(path, (*upstream, package))]
    for path in theirs:
        # Reading is quick, parsing is not: most of upstream's files never name us.
        if package.encode() in path.read_bytes():
            reaches += _imports(path, (package,))
    missing = [reach for reach in reaches if not _exists(tree, reach)]
    if missing:
        raise MissingHook(
            f"{len(missing)} hooks reach for something that is gone",
            detail="\n".join(
                f"{reach.file.relative_to(tree)}:{reach.line}: {reach.module}"
                + (f".{reach.name}" if reach.name else "")
                for reach in missing
            ),
            cause="upstream's release renamed it, or a patch or a file of the overlay was dropped",
            next_step="find where the name went, and move the hook there",
        )
    return len(reaches)
