"""The files of the bundle: chosen by rule, checked, and given hashed names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

from builder import css
from builder.asset_checks import Asset, check_rules, check_wishes
from builder.asset_files import FileReader, FileTree
from builder.asset_names import hashed_name, same_but_for_case
from builder.asset_rules import OWN, TREE, Merge, Place, Rules
from builder.asset_templates import TemplateSet, asked_for
from builder.errors import AssetError
from builder.merge import merge_scripts, merge_sheets

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# Maps are never in the bundle; only a comment on a script's last line counts.
_SCRIPT_SOURCE_MAP = re.compile(rb"(?:\A|\r?\n)[ \t]*//[#@][ \t]*sourceMappingURL=[^\s'\"`]*\s*\Z")


@dataclass(frozen=True, slots=True)
class AssetSource:
    """Static files that one Flask endpoint serves.

    `name` is the first part of their logical names: `static`, `admin`, `service`.
    """

    name: str
    endpoint: str
    tree: FileTree


def release_sources(
    rules: Rules, tree: Path, wheels: Mapping[str, Path], own: Path
) -> tuple[list[AssetSource], list[TemplateSet]]:
    """The folders that the rules name, as sources of assets and sets of templates.

    `wheels` has the pinned wheels by project; `own` is assets/, whose folders
    count only if they are there. Raises AssetError for a project without a pin.
    """

    def files(place: Place) -> FileTree:
        if place.origin == TREE:
            return FileTree(place.folder, tree / place.folder)
        if place.origin == OWN:
            return FileTree(f"assets/{place.folder}", own / place.folder)
        if place.origin not in wheels:
            raise AssetError(
                f"{place.name}: no wheel of {place.origin} is pinned",
                next_step="pin it in upstream.toml with the role assets",
            )
        return FileTree(place.folder, wheels[place.origin], place.folder)

    sources = [
        AssetSource(place.name, place.endpoint, files(place))
        for place in rules.sources
        if place.origin != OWN or (own / place.folder).is_dir()
    ]
    return sources, [TemplateSet(place.name, files(place)) for place in rules.templates]


def collect(
    sources: Sequence[AssetSource], rules: Rules, templates: Sequence[TemplateSet] = ()
) -> list[Asset]:
    """Choose, check and rewrite the files of the bundle, sorted by logical name.

    With `templates`, each file that they ask for must be there, and each file
    that nothing asks for must be excluded or kept by rule. Raises AssetError
    that names all faults of the step that found them.
    """
    readers = {source.name: source.tree.open(rules.max_file_bytes) for source in sources}
    names = [f"{name}/{path}" for name, reader in readers.items() for path in reader.sizes]
    chosen = _chosen(names, rules)
    wishes = asked_for(templates, {source.endpoint: source.name for source in sources})
    collection = _Collection(sources, readers, rules, names, chosen)
    assets = collection.build()
    check_rules(rules, names, assets, collection.external_seen)
    if templates:
        check_wishes(assets, wishes, [*names, *(merge.name for merge in rules.merges)], rules)
    return assets


def _chosen(names: list[str], rules: Rules) -> list[str]:
    chosen = [name for name in names if not rules.excluded_by(name)]
    if pairs := same_but_for_case(chosen):
        raise AssetError(
            "static files whose names differ only by case",
            detail="\n".join(f"{one} and {other}" for one, other in pairs),
            cause="some file systems, and some CDNs, take the two for one",
        )
    if unknown := [name for name in chosen if posixpath.splitext(name)[1].lower() not in rules.types]:
        raise AssetError(
            "static files of unknown type",
            detail="\n".join(unknown),
            next_step="add the extension to [types] in the line's rules.toml, or exclude the file there",
        )
    return chosen


class _Collection:
    """The chosen files, built in the order in which style sheets need each other."""

    def __init__(
        self,
        sources: Sequence[AssetSource],
        readers: dict[str, FileReader],
        rules: Rules,
        names: list[str],
        chosen: list[str],
    ) -> None:
        self.rules = rules
        self.names = set(names)
        self.trees = {source.name: source.tree for source in sources}
        self.faults: list[str] = []
        self.external_seen: set[str] = set()
        self.assets: dict[str, Asset] = {}
        self.open: list[str] = []  # the style sheets that are being built, outermost first
        self.raw: dict[str, bytes] = {}
        for source, reader in readers.items():
            paths = [name.removeprefix(f"{source}/") for name in chosen if name.startswith(f"{source}/")]
            self.raw |= {f"{source}/{path}": content for path, content in reader.contents(paths)}

    def build(self) -> list[Asset]:
        """All assets. Raises AssetError."""
        for name in sorted(self.raw):
            self.asset(name)
        for merge in self.rules.merges:
            self.merge(merge)
        if self.faults:
            raise AssetError(
                f"{len(self.faults)} broken reference(s) in static files",
                detail="\n".join(self.faults),
                cause="the release's own mistake, or a patch or rule that took the file away",
                next_step="mend the reference by a patch, or change the line's rules.toml",
            )
        return [self.assets[name] for name in sorted(self.assets)]

    def shown(self, name: str) -> str:
        source, _, path = name.partition("/")
        return self.trees[source].shown(path)

    def asset(self, name: str) -> Asset:
        if name not in self.assets:
            extension = posixpath.splitext(name)[1].lower()
            kind = self.rules.types[extension]
            content = self.raw[name]
            references: tuple[str, ...] = ()
            if "charset=utf-8" in kind.content_type:
                self.must_be_text(name, content)
            if extension == ".css":
                content, references = self.style_sheet(name, content)
            elif extension in (".js", ".mjs"):
                content = _SCRIPT_SOURCE_MAP.sub(b"\n", content)
            self.assets[name] = Asset(
                name, hashed_name(name, content), kind.content_type, content, kind.compress, references
            )
        return self.assets[name]

    def merge(self, merge: Merge) -> None:
        """Make the file of a rule, of those that have their final bytes."""
        if missing := [name for name in merge.files if name not in self.assets]:
            self.faults.append(f"[[merge]] {merge.name}: not in the bundle: {', '.join(missing)}")
            return
        if merge.name in self.names:
            self.faults.append(f"[[merge]] {merge.name}: is also a file")
            return
        parts = [self.assets[name] for name in merge.files]
        texts = [part.content.decode("utf-8") for part in parts]
        try:
            text = merge_sheets(texts) if merge.name.endswith(".css") else merge_scripts(texts)
        except css.CssFault as fault:
            self.faults.append(f"[[merge]] {merge.name}: {fault.message}")
            return
        content = text.encode("utf-8")
        # Not the parts: they are in the bundle for what else asks for them.
        references = tuple(sorted({name for part in parts for name in part.references}))
        self.assets[merge.name] = replace(
            parts[0],
            logical=merge.name,
            name=hashed_name(merge.name, content),
            content=content,
            references=references,
        )

    def must_be_text(self, name: str, content: bytes) -> None:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise AssetError(
                f"{self.shown(name)}:{line}: not UTF-8, but it is served as UTF-8",
                cause="a damaged file, or one in another encoding",
            ) from error

    def style_sheet(self, name: str, content: bytes) -> tuple[bytes, tuple[str, ...]]:
        targets: list[str] = []
        self.open.append(name)

        def resolve(reference: css.Reference) -> str | None:
            try:
                target, ending = self.target(name, reference.url)
            except ValueError as error:
                self.faults.append(f"{self.shown(name)}:{reference.line}: {reference.url!r}: {error}")
                return None
            if not target:
                return None
            targets.append(target)
            return self.asset(target).name + ending

        try:
            text = css.rewrite(content.decode("utf-8"), resolve)
        except css.CssFault as error:
            self.faults.append(f"{self.shown(name)}:{error.line}: {error.message}")
            text = content.decode("utf-8")
        self.open.pop()
        return text.encode("utf-8"), tuple(sorted(set(targets)))

    def target(self, name: str, url: str) -> tuple[str, str]:
        """The logical name that `url` in `name` means, and what follows the path.

        No name if the address is not a file of ours. Raises ValueError.
        """
        url = url.strip(" \t\r\n\f")
        if not url or url.lower().startswith(("#", "data:", "about:")):
            return "", ""
        if _SCHEME.match(url) or url.startswith("//"):
            if url not in self.rules.external:
                raise ValueError("an absolute address; the UI asks no foreign host for anything")
            self.external_seen.add(url)
            return "", ""
        path, ending = _split(url)
        if path.startswith("/") or "\\" in path:
            raise ValueError("a path from the host's root; write it relative to the style sheet")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        if not target.startswith(name.partition("/")[0] + "/"):
            raise ValueError("leads out of the folder of static files")
        if target not in self.names:
            raise ValueError(f"there is no {self.shown(target)}")
        if target not in self.raw:
            raise ValueError(f"{target} is left out: {self.rules.excluded_by(target)}")
        if target in self.open:
            circle = [*self.open[self.open.index(target) :], target]
            raise ValueError(f"a circle of imports: {' -> '.join(circle)}")
        return target, ending


def _split(url: str) -> tuple[str, str]:
    """Path and fragment. The hash does what a version query was for.

    A bare `?` before a fragment stays: old browsers need `?#iefix` as it is.
    """
    rest, mark, fragment = url.partition("#")
    path, question, query = rest.partition("?")
    bare = "?" if question and not query and mark else ""
    ending = bare + mark + quote(fragment, safe="%-._~!$&*+,;=:@/?")
    try:
        return unquote(path, errors="strict"), ending
    except UnicodeDecodeError as error:
        raise ValueError("percent signs that are not UTF-8") from error
