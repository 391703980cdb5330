"""The rules of a line's bundle, read from its rules.toml and checked as a whole."""

from __future__ import annotations

import fnmatch
import posixpath
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from builder.errors import AssetError

_T = TypeVar("_T")

# What each kind of rule may say, so that a misspelt key is not ignored.
_KEYS = {
    "source": {"name", "endpoint", "from", "folder"},
    "templates": {"name", "from", "folder"},
    "exclude": {"match", "reason", "although_referenced"},
    "keep": {"match", "reason"},
    "dynamic": {"template", "files", "reason"},
    "external": {"url", "reason"},
    "group": {"name", "modules", "reason"},
    "merge": {"name", "files", "reason"},
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern over logical names; `*` also matches `/`."""

    text: str
    expression: re.Pattern[str] = field(repr=False, compare=False)

    @classmethod
    def of(cls, text: str) -> Pattern:
        return cls(text, re.compile(fnmatch.translate(text)))

    def matches(self, name: str) -> bool:
        return self.expression.match(name) is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """Patterns with one reason: what is left out, or kept though nothing names it."""

    match: tuple[Pattern, ...]
    reason: str
    although_referenced: bool = False


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What a template's computed file name can become."""

    template: str
    files: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Assets that a script asks for by a module name: pattern of module → of file."""

    name: str
    modules: tuple[tuple[str, str], ...]
    reason: str

    def members(self, names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
        """Module names with their files, and the patterns that found none."""
        found: dict[str, str] = {}
        empty: list[str] = []
        ordered = list(names)
        for module, files in self.modules:
            expression = re.compile(re.escape(files).replace(r"\*", "([^/]+)"))
            hits = {name: match for name in ordered if (match := expression.fullmatch(name))}
            found |= {module.replace("*", "".join(match.groups())): name for name, match in hits.items()}
            if not hits:
                empty.append(files)
        return found, empty


@dataclass(frozen=True, slots=True)
class Merge:
    """A style sheet or script of the bundle that is made of others, in their order."""

    name: str
    files: tuple[str, ...]
    reason: str


# Where a folder is looked for, beside the projects that upstream.toml pins.
TREE, OWN = "tree", "own"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of static files or templates: in the patched tree, in assets/, or in a pinned wheel.

    `origin` is `tree`, `own`, or the wheel's project; `endpoint` is the Flask
    endpoint that serves static files, and empty for templates.
    """

    name: str
    origin: str
    folder: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class FileType:
    """What the files with one extension are served as."""

    content_type: str
    compress: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """All of a rules.toml."""

    types: dict[str, FileType]
    sources: tuple[Place, ...] = ()
    templates: tuple[Place, ...] = ()
    exclude: tuple[Rule, ...] = ()
    keep: tuple[Rule, ...] = ()
    dynamic: tuple[Dynamic, ...] = ()
    external: dict[str, str] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    merges: tuple[Merge, ...] = ()
    max_file_bytes: int = 4_000_000
    min_saved_ratio: float = 0.10
    min_saved_bytes: int = 150

    def excluded_by(self, name: str) -> str:
        """The reason for which a logical name is left out, or nothing."""
        return next((rule.reason for rule in self.exclude if any(p.matches(name) for p in rule.match)), "")


def load_rules(path: Path) -> Rules:
    """Read a rules file. Raises AssetError that names all its faults."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AssetError(f"cannot read the rules in {path.name}: {error}") from error
    return _Reader(path.name).rules(document)


class _Reader:
    """Turns a TOML document into Rules and collects what is wrong with it."""

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self.faults: list[str] = []

    def rules(self, document: dict[str, Any]) -> Rules:
        known = _KEYS.keys() | {"types", "limits", "compression"}
        self.faults += [f"{key}: no such rule" for key in document.keys() - known]
        limits, compression = document.get("limits", {}), document.get("compression", {})
        rules = Rules(
            types={
                extension: FileType(
                    self.value(table, f'types."{extension}"', "content_type", str, ""),
                    self.value(table, f'types."{extension}"', "compress", bool, False),
                )
                for extension, table in document.get("types", {}).items()
            },
            sources=tuple(self.place(*entry, served=True) for entry in self.entries(document, "source")),
            templates=tuple(
                self.place(*entry, served=False) for entry in self.entries(document, "templates")
            ),
            exclude=tuple(self.rule(*entry) for entry in self.entries(document, "exclude")),
            keep=tuple(self.rule(*entry) for entry in self.entries(document, "keep")),
            dynamic=tuple(
                Dynamic(
                    self.value(table, where, "template", str, ""),
                    self.strings(table, where, "files"),
                    self.reason(table, where),
                )
                for where, table in self.entries(document, "dynamic")
            ),
            external=self.reasons(document, "external", "url"),
            groups=tuple(self.group(*entry) for entry in self.entries(document, "group")),
            merges=tuple(self.merge(*entry) for entry in self.entries(document, "merge")),
            max_file_bytes=self.value(limits, "limits", "max_file_bytes", int, 0),
            min_saved_ratio=self.value(compression, "compression", "min_saved_ratio", float, 0.0),
            min_saved_bytes=self.value(compression, "compression", "min_saved_bytes", int, 0),
        )
        if self.faults:
            raise AssetError(f"faults in {self.file_name}", detail="\n".join(sorted(self.faults)))
        return rules

    def entries(self, document: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
        tables = document.get(key, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.faults.append(f"{key}: must be [[{key}]] tables")
            return []
        entries = [(f"{key}[{number}]", table) for number, table in enumerate(tables)]
        self.faults += [
            f"{where}.{name}: no such key" for where, table in entries for name in table.keys() - _KEYS[key]
        ]
        return entries

    def value(self, table: dict[str, Any], where: str, key: str, kind: type[_T], otherwise: _T) -> _T:
        value = table.get(key)
        if type(value) is not kind:
            self.faults.append(f"{where}.{key}: must be {kind.__name__}, not {value!r}")
            return otherwise
        return value

    def strings(self, table: dict[str, Any], where: str, key: str) -> tuple[str, ...]:
        values = self.value(table, where, key, list, [])
        if not all(isinstance(value, str) for value in values):
            self.faults.append(f"{where}.{key}: must be a list of strings")
            return ()
        return tuple(values)

    def reason(self, table: dict[str, Any], where: str) -> str:
        reason = self.value(table, where, "reason", str, "-")
        if not reason.strip():
            self.faults.append(f"{where}.reason: is empty; each rule says why")
        return reason

    def reasons(self, document: dict[str, Any], key: str, subject: str) -> dict[str, str]:
        return {
            self.value(table, where, subject, str, ""): self.reason(table, where)
            for where, table in self.entries(document, key)
        }

    def place(self, where: str, table: dict[str, Any], *, served: bool) -> Place:
        return Place(
            self.value(table, where, "name", str, ""),
            self.value(table, where, "from", str, ""),
            self.value(table, where, "folder", str, ""),
            self.value(table, where, "endpoint", str, "") if served else "",
        )

    def rule(self, where: str, table: dict[str, Any]) -> Rule:
        although = self.value(
            {"although_referenced": False, **table}, where, "although_referenced", bool, False
        )
        patterns = self.strings(table, where, "match")
        if not patterns:
            self.faults.append(f"{where}.match: names nothing")
        return Rule(tuple(map(Pattern.of, patterns)), self.reason(table, where), although)

    def group(self, where: str, table: dict[str, Any]) -> Group:
        modules = self.value(table, where, "modules", dict, {})
        for module, files in modules.items():
            if not isinstance(files, str) or (module.count("*"), files.count("*")) not in ((0, 0), (1, 1)):
                self.faults.append(f"{where}.modules.{module}: module and file have one * each, or none")
        return Group(
            self.value(table, where, "name", str, ""), tuple(modules.items()), self.reason(table, where)
        )

    def merge(self, where: str, table: dict[str, Any]) -> Merge:
        name, files = self.value(table, where, "name", str, ""), self.strings(table, where, "files")
        endings = {posixpath.splitext(one)[1] for one in (name, *files)}
        if len(files) < 2 or endings not in ({".css"}, {".js"}):
            self.faults.append(f"{where}: makes one .css of several, or one .js")
        return Merge(name, files, self.reason(table, where))
