"""report.html: the whole distribution on one page, for whoever reviews it.

The page is one file that asks no host for anything and runs no script. Every
text in it comes through Jinja's escaping; nothing is marked safe that was not
escaped before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from builder.ledger import PatchSize, count, named_advisories, patch_size, sort_advisories
from builder.libraries import Library
from builder.manifest import Entry, Manifest
from builder.records import Dependency, Output, epoch_time
from builder.release import Release
from builder.report_diff import DiffFile, diff_files
from builder.series import Patch, Series
from builder.wheel import WheelDifference
from builder.workspace import file_sha256

REPORT_FILE = "report.html"
_TEMPLATES = Path(__file__).with_name("templates")
_CHARTED_ASSETS = 15
_CODE_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class OverlayFile:
    """One file of the overlay, by its path in the wheel. Size in bytes."""

    path: str
    lines: int
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, path: Path) -> OverlayFile:
        content = path.read_bytes()
        return cls(name, content.count(b"\n"), len(content), file_sha256(path))


@dataclass(frozen=True, slots=True)
class Build:
    """All that the page tells of."""

    release: Release
    series: Series
    overlay: Sequence[OverlayFile]
    wheel: Output
    difference: WheelDifference
    dependencies: Sequence[Dependency]
    manifest: Manifest
    libraries: Sequence[Library]
    outputs: Sequence[Output]


def render_report(build: Build) -> str:
    """The text of report.html."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": format_size, "number": format_number, "prose": prose, "inline": inline}
    environment.globals["count"] = count
    patches = [_shown(place, patch) for place, patch in enumerate(build.series, 1)]
    text = environment.get_template("report.html").render(
        build=build,
        release=build.release,
        date=epoch_time(build.release.source_epoch),
        patches=patches,
        widest=max((patch.lines for patch in patches), default=1),
        advisories=_by_advisory(patches),
        totals=_totals(build, patches),
        folders=_folders(build, patches),
        packages=_packages(build.dependencies),
        charted=_charted(build.manifest),
    )
    # A patch can hold bytes that are not UTF-8; the page shows them as unreadable.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class ShownPatch:
    """A patch with what is counted and parsed for the page."""

    place: int
    patch: Patch
    size: PatchSize
    files: tuple[DiffFile, ...]
    advisories: tuple[str, ...]

    @property
    def lines(self) -> int:
        return self.size.added + self.size.removed

    @property
    def anchor(self) -> str:
        return f"patch-{self.patch.name.removesuffix('.patch')}"


def _shown(place: int, patch: Patch) -> ShownPatch:
    return ShownPatch(place, patch, patch_size(patch), diff_files(patch), named_advisories(patch))


def _by_advisory(patches: Sequence[ShownPatch]) -> dict[str, list[ShownPatch]]:
    numbers = sort_advisories(number for patch in patches for number in patch.advisories)
    return {number: [patch for patch in patches if number in patch.advisories] for number in numbers}


def _totals(build: Build, patches: Sequence[ShownPatch]) -> dict[str, int]:
    assets = {entry.name: entry for entry in build.manifest.assets.values()}.values()
    return {
        "added": sum(patch.size.added for patch in patches),
        "removed": sum(patch.size.removed for patch in patches),
        "files": len({path for patch in patches for path, _, _ in patch.size.files}),
        "overlay_lines": sum(file.lines for file in build.overlay),
        "assets": len(build.manifest.assets),
        "raw": sum(entry.size for entry in assets),
        "br": sum(_encoded(entry, "br") for entry in assets),
        "packages": len({one.name for one in build.dependencies}),
    }


def _encoded(entry: Entry, encoding: str) -> int:
    """Bytes to fetch; an asset without the variant counts with its plain size."""
    variant = entry.encodings.get(encoding)
    return variant.size if variant else entry.size


@dataclass(frozen=True, slots=True)
class Folder:
    """Files of one folder that were added, removed or changed, and by which patch."""

    name: str
    files: tuple[tuple[str, tuple[ShownPatch, ...]], ...]


def _folders(build: Build, patches: Sequence[ShownPatch]) -> dict[str, list[Folder]]:
    cause: dict[str, list[ShownPatch]] = {}
    for patch in patches:
        for path in patch.patch.paths:
            cause.setdefault(path, []).append(patch)
    difference = build.difference
    kinds = {"added": difference.added, "changed": difference.changed, "removed": difference.removed}
    return {kind: group_by_folder(paths, cause) for kind, paths in kinds.items()}


def group_by_folder(paths: Iterable[str], cause: Mapping[str, Sequence[ShownPatch]]) -> list[Folder]:
    """Group paths by their first two folders, each with the patches that name it."""
    groups: dict[str, list[str]] = {}
    for path in sorted(paths):
        groups.setdefault("/".join(path.split("/")[:-1][:2]) or ".", []).append(path)
    return [
        Folder(name, tuple((path, tuple(cause.get(path, ()))) for path in found))
        for name, found in sorted(groups.items())
    ]


@dataclass(frozen=True, slots=True)
class Package:
    """A locked project with its versions; more than one only if the Pythons' locks differ."""

    name: str
    versions: tuple[Dependency, ...]


def _packages(dependencies: Iterable[Dependency]) -> list[Package]:
    found: dict[str, list[Dependency]] = {}
    for one in dependencies:
        found.setdefault(one.name, []).append(one)
    return [Package(name, tuple(versions)) for name, versions in sorted(found.items())]


@dataclass(frozen=True, slots=True)
class ChartedAsset:
    """A bar of the chart. Sizes in bytes; without a variant, its size is None."""

    name: str
    size: int
    gzip: int | None
    br: int | None


def _charted(manifest: Manifest) -> list[ChartedAsset]:
    ordered = sorted(manifest.assets.items(), key=lambda item: (-item[1].size, item[0]))
    charted = []
    for name, entry in ordered[:_CHARTED_ASSETS]:
        sizes = {encoding: variant.size for encoding, variant in entry.encodings.items()}
        charted.append(ChartedAsset(name, entry.size, sizes.get("gzip"), sizes.get("br")))
    return charted


def format_size(size: int) -> str:
    """A number of bytes for people: `878 kB` is 878,000 bytes, roughly."""
    if size < 1000:
        return f"{size} B"
    value, unit = size / 1000, "kB"
    if value >= 999.5:
        value, unit = value / 1000, "MB"
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def format_number(value: int) -> str:
    """A number with thin spaces between the thousands."""
    return f"{value:,}".replace(",", "\u2009")


def inline(text: str) -> Markup:
    """Escaped text with its `code` spans as code."""
    return Markup(_CODE_SPAN.sub(r"<code>\1</code>", str(escape(text))))


def prose(text: str) -> Markup:
    """A header's paragraphs; lists and indented lines keep their line ends."""
    parts = []
    for paragraph in text.split("\n\n"):
        as_written = re.search(r"^(\s|[-*] )", paragraph, re.MULTILINE)
        start = Markup('<p class="as-written">') if as_written else Markup("<p>")
        parts.append(start + inline(paragraph) + Markup("</p>"))
    return Markup("\n").join(parts)
