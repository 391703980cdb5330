"""A release: what `patches/<version>/upstream.toml` pins, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from builder.errors import InvalidRelease, UnknownRelease

PIN_FILE = "upstream.toml"
FORMAT = 1

T = TypeVar("T")
Role = Literal["tree", "assets", "reference"]
_ROLES: tuple[Role, ...] = ("tree", "assets", "reference")


@dataclass(frozen=True, slots=True)
class Source:
    """One pinned file of a package index.

    A source with the role `tree` is unpacked into the patched tree, below the
    folder `into`; one with the role `assets` is only read for its static files;
    one with the role `reference` is upstream's own wheel, which ours is held against.
    """

    role: Role
    project: str
    version: str
    file: str
    sha256: str
    size: int
    source_epoch: int
    into: str = "."


@dataclass(frozen=True, slots=True)
class Release:
    """One line of the distribution: a directory below `patches/`."""

    directory: Path
    name: str
    version: str
    revision: int
    default: bool
    python: tuple[str, ...]
    package: str
    upstream_packages: tuple[str, ...]
    assets: str
    extras: tuple[str, ...]
    wheel_without: tuple[str, ...]
    sources: tuple[Source, ...]

    @property
    def full_version(self) -> str:
        """The version that the wheel carries, as `1.10.15+svc.1`."""
        return f"{self.version}+svc.{self.revision}"

    @property
    def source_epoch(self) -> int:
        """Seconds since 1970, UTC: the time that every output is stamped with."""
        return self.trees[0].source_epoch

    @property
    def trees(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.role == "tree")

    @property
    def asset_wheels(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.role == "assets")

    @property
    def references(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.role == "reference")

    @property
    def wheel_name(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.full_version}-py3-none-any.whl"


def load_release(directory: Path) -> Release:
    """Read one release's pins.

    Raises InvalidRelease with every fault of the file at once.
    """
    path = directory / PIN_FILE
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InvalidRelease(f"{path} is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRelease(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise _unreadable(error, path) from None
    reader = _Reader(data)
    release = _read(reader, directory)
    reader.finish(path)
    return release


def find_releases(patches: Path) -> list[Path]:
    """The directories below `patches` that pin a release, by name. Raises InvalidRelease if it cannot be read."""
    try:
        # Not a glob, which takes what it may not read for empty.
        return [path for path in sorted(patches.iterdir()) if (path / PIN_FILE).exists()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(error, patches) from None


def _unreadable(error: OSError, path: Path) -> InvalidRelease:
    place = error.filename or path
    return InvalidRelease(
        f"{place} cannot be read: {error.strerror}",
        cause="permissions: a checkout by another user, or under a narrow umask",
        next_step=f"ls -ld {place}, and mend the permissions",
    )


def select_release(patches: Path, version: str | None) -> Release:
    """The release with that version, or without one the one marked default."""
    directories = find_releases(patches)
    known = ", ".join(directory.name for directory in directories) or "none"
    if version is not None:
        # By name alone, so that another release's broken file is no obstacle.
        for directory in directories:
            if directory.name == version:
                return load_release(directory)
        raise UnknownRelease(
            f"there is no release {version!r}", detail=f"known: {known}", next_step="name one with --release"
        )
    defaults = [release for release in map(load_release, directories) if release.default]
    if len(defaults) != 1:
        raise UnknownRelease(
            f"{len(defaults)} releases are marked default, not one",
            detail=f"known: {known}",
            next_step="set `default = true` in exactly one upstream.toml, or name one with --release",
        )
    return defaults[0]


class _Reader:
    """Takes checked values out of a table, and remembers each fault."""

    def __init__(self, table: dict[str, Any], prefix: str = "", faults: list[str] | None = None) -> None:
        self.table = dict(table)
        self.prefix = prefix
        self.faults: list[str] = [] if faults is None else faults

    def take(self, key: str, kind: type[T], valid: Callable[[T], object], expected: str, default: T) -> T:
        """The value of a key; a fault, and `default` in its place, if it is wrong."""
        if key not in self.table:
            self.faults.append(f"{self.prefix}{key}: missing; expected {expected}")
            return default
        value = self.table.pop(key)
        # bool is an int to Python, but not to whoever wrote `size = true`.
        if type(value) is not kind or not valid(value):
            self.faults.append(f"{self.prefix}{key}: {value!r} is not {expected}")
            return default
        return value

    def text(self, key: str, pattern: str, expected: str) -> str:
        return self.take(key, str, lambda value: re.fullmatch(pattern, value), expected, "")

    def number(self, key: str, least: int) -> int:
        return self.take(key, int, lambda value: value >= least, f"a whole number from {least}", least)

    def texts(self, key: str, pattern: str, expected: str) -> tuple[str, ...]:
        def valid(values: Iterable[Any]) -> bool:
            return all(isinstance(value, str) and re.fullmatch(pattern, value) for value in values)

        return tuple(self.take(key, list, valid, f"a list, each {expected}", []))

    def tables(self, key: str) -> list[_Reader]:
        def valid(values: list[Any]) -> bool:
            return bool(values) and all(isinstance(value, dict) for value in values)

        values = self.take(key, list, valid, "one or more tables", [])
        return [
            _Reader(value, f"{self.prefix}{key}[{place}].", self.faults) for place, value in enumerate(values)
        ]

    def close(self) -> None:
        self.faults += [f"{self.prefix}{key}: unknown key" for key in self.table]

    def finish(self, path: Path) -> None:
        self.close()
        if self.faults:
            count = len(self.faults)
            raise InvalidRelease(
                f"{path} has {count} fault{'s' if count > 1 else ''}", detail="\n".join(self.faults)
            )


_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?"
_RELATIVE = r"(?!.*\.\.)[A-Za-z0-9._][A-Za-z0-9._/-]*"


def _read(reader: _Reader, directory: Path) -> Release:
    reader.take(
        "format", int, lambda value: value == FORMAT, f"{FORMAT}, the format that this builder reads", FORMAT
    )
    reader.table.setdefault("default", False)
    default = reader.take("default", bool, lambda value: True, "true or false", False)
    sources = tuple(_read_source(table) for table in reader.tables("source"))
    present = {source.role for source in sources}
    reader.faults += [f"source: none has the role {role!r}" for role in _ROLES if role not in present]
    files = [source.file for source in sources]
    reader.faults += [
        f"source: {name} is pinned twice" for name in sorted({n for n in files if files.count(n) > 1})
    ]
    release = Release(
        directory=directory,
        name=reader.text("name", _NAME, "a project name"),
        version=reader.text("version", _VERSION, "a version without local part"),
        revision=reader.number("revision", 1),
        default=default,
        python=reader.texts("python", r"3\.[0-9]+", "a version such as 3.11"),
        package=reader.text("package", r"[a-z_][a-z0-9_]*", "a Python package's name"),
        upstream_packages=reader.texts("upstream_packages", r"[a-z_][a-z0-9_]*", "a Python package's name"),
        assets=reader.text("assets", _RELATIVE, "a folder below assets/"),
        extras=reader.texts("extras", _NAME, "an extra's name"),
        wheel_without=reader.texts("wheel_without", _RELATIVE, "a path in the tree"),
        sources=sources,
    )
    if release.version and release.version != directory.name:
        reader.faults.append(f"version: {release.version!r} is not the directory's name, {directory.name!r}")
    return release


def _read_source(reader: _Reader) -> Source:
    role = reader.take("role", str, lambda value: value in _ROLES, f"one of {', '.join(_ROLES)}", "tree")
    source = Source(
        role=next(known for known in _ROLES if known == role),
        project=reader.text("project", _NAME, "a project name"),
        version=reader.text("version", _VERSION, "a version"),
        file=reader.text(
            "file", r"[A-Za-z0-9][A-Za-z0-9._+-]*\.(tar\.gz|zip|whl)", "the name of an sdist or wheel"
        ),
        sha256=reader.text("sha256", r"[0-9a-f]{64}", "64 hexadecimal digits"),
        size=reader.number("size", 1),
        source_epoch=reader.number("source_epoch", 315532800),
        into=reader.text("into", _RELATIVE, "a folder in the tree") if "into" in reader.table else ".",
    )
    reader.close()
    return source
