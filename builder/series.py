"""A patch series: headers read and checked, without applying anything.

A patch file is a header, a line `---`, and a diff as git writes it. The header
has a subject, a reason, and fields (after Debian's DEP-3):

    Subject: Start gunicorn with the interpreter that runs Airflow

    Why, in a few paragraphs.

    Forwarded: no | not-needed | a URL
    Removal: the condition under which the patch goes
    Test: node ids of the tests that fail without it, separated by commas
    Oversize: why it is larger than a patch should be (only where it is)
    ---
    diff --git a/… b/…
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from builder.errors import InvalidSeries

SERIES_FILE = "series"
REQUIRED = ("Forwarded", "Removal", "Test")
FIELDS = (*REQUIRED, "Oversize")
# Past either, a patch has to say in its header why it must be so large.
MOST_ADDED_LINES = 60
MOST_FILES = 3

# What git calls a file's mode: none is shown where it does not change.
_FILE_MODES = (None, "100644", "100755")
_SEPARATOR = "\n---\n"
_FIELD = re.compile(r"([A-Z][A-Za-z-]+): *(.*)")
_NAME = re.compile(r"[a-z][a-z0-9]*([-.][a-z0-9]+)*\.patch")


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch: its name, its header's parts, and its diff."""

    name: str
    subject: str
    reason: str
    fields: dict[str, str]
    diff: str
    sha256: str

    @property
    def message(self) -> str:
        """The header as a commit message, which `parse_message` reads back."""
        fields = "\n".join(f"{name}: {value}" for name, value in self.fields.items())
        return f"{self.subject}\n\n{self.reason}\n\n{fields}\n"

    @property
    def tests(self) -> tuple[str, ...]:
        """The pytest node ids of the header's `Test:` field."""
        return tuple(test.strip() for test in self.fields.get("Test", "").split(",") if test.strip())

    def parsed(self) -> PatchSet:
        return PatchSet(self.diff)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that the diff names, sorted."""
        return tuple(
            sorted({path for file in self.parsed() for path in _sides(file.source_file, file.target_file)})
        )


@dataclass(frozen=True, slots=True)
class Series:
    """The patches of one release, in the order in which they apply."""

    directory: Path
    patches: tuple[Patch, ...]

    def __iter__(self) -> Iterator[Patch]:
        return iter(self.patches)


def _sides(source: str, target: str) -> set[str]:
    return {side.split("/", 1)[1] for side in (source, target) if side != "/dev/null"}


def parse_message(message: str) -> tuple[str, str, dict[str, str]]:
    """Split a header, or a commit message, into subject, reason and fields."""
    subject, _, body = message.strip().partition("\n")
    paragraphs = body.strip().split("\n\n")
    fields: dict[str, str] = {}
    last = paragraphs[-1].split("\n")
    if last and all(_FIELD.fullmatch(line) for line in last):
        fields = {found[1]: found[2].strip() for line in last if (found := _FIELD.fullmatch(line))}
        paragraphs.pop()
    return subject.strip(), "\n\n".join(paragraphs).strip(), fields


def read_patch(path: Path) -> Patch:
    """Read one patch file. Raises InvalidSeries if it has no header or diff."""
    raw = path.read_bytes()
    text = raw.decode("utf-8", "surrogateescape")
    header, separator, diff = text.partition(_SEPARATOR)
    if not separator or not header.startswith("Subject: "):
        raise InvalidSeries(
            f"{path} has no header",
            cause="it was made by hand, or by git diff alone",
            next_step="begin it with `Subject: …` and end the header with a line `---`",
        )
    subject, reason, fields = parse_message(header.removeprefix("Subject: "))
    return Patch(path.name, subject, reason, fields, diff, hashlib.sha256(raw).hexdigest())


def patch_text(patch: Patch) -> str:
    """A patch as the file that `read_patch` reads."""
    return f"Subject: {patch.message.rstrip()}{_SEPARATOR}{patch.diff}"


def series_names(directory: Path) -> list[str]:
    """The names in the series file, in order; empty lines and comments left out."""
    path = directory / SERIES_FILE
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise InvalidSeries(f"{path} is missing", next_step="make one, even if it is empty") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def load_series(directory: Path) -> Series:
    """Read the whole series. Raises InvalidSeries with every fault at once."""
    names = series_names(directory)
    faults = _membership_faults(directory, names)
    patches = []
    for name in dict.fromkeys(names):
        path = directory / name
        if not path.is_file():
            continue
        try:
            patch = read_patch(path)
        except InvalidSeries as error:
            faults.append(str(error))
            continue
        patches.append(patch)
        faults += [f"{name}: {fault}" for fault in patch_faults(patch)]
    if faults:
        raise InvalidSeries(
            f"the series in {directory} has {len(faults)} fault{'s' if len(faults) > 1 else ''}",
            detail="\n".join(faults),
            next_step="mend the headers or the series file by hand, then ./build.py check",
        )
    return Series(directory, tuple(patches))


def _membership_faults(directory: Path, names: list[str]) -> list[str]:
    present = {path.name for path in directory.glob("*.patch")}
    faults = [f"{name}: named twice in the series" for name in dict.fromkeys(names) if names.count(name) > 1]
    faults += [
        f"{name}: in the series, but there is no such file"
        for name in dict.fromkeys(names)
        if name not in present
    ]
    faults += [f"{name}: not in the series" for name in sorted(present.difference(names))]
    return faults


def valid_name(name: str) -> bool:
    """Whether a name is lower-case words joined by hyphens, and `.patch`."""
    return _NAME.fullmatch(name) is not None


def patch_faults(patch: Patch) -> list[str]:
    """What is wrong with one patch's name, header and size."""
    faults = []
    if not valid_name(patch.name):
        faults.append("a name is lower-case words joined by hyphens; the order is in the series")
    if not patch.subject:
        faults.append("the subject is empty")
    if not patch.reason:
        faults.append("the header gives no reason")
    if parse_message(patch.message) != (patch.subject, patch.reason, patch.fields) or (
        _SEPARATOR in f"\n{patch.message}"
    ):
        faults.append("the header would not be read back as it is: a line `---`, or a field of two lines")
    faults += [f"the header lacks {field}:" for field in REQUIRED if not patch.fields.get(field)]
    faults += [f"the header has an unknown field {field}:" for field in patch.fields if field not in FIELDS]
    forwarded = patch.fields.get("Forwarded", "no")
    if forwarded not in ("no", "not-needed") and not forwarded.startswith("https://"):
        faults.append(f"Forwarded: is {forwarded!r}, which is neither no, not-needed nor a URL")
    return faults + _diff_faults(patch)


def _mode(file: PatchedFile) -> str | None:
    return file.target_mode or file.source_mode


def _diff_faults(patch: Patch) -> list[str]:
    try:
        parsed = patch.parsed()
    except UnidiffParseError as error:
        return [f"the diff is damaged: {error}"]
    if not parsed:
        return ["the diff is empty"]
    special = [file.path for file in parsed if file.is_binary_file or _mode(file) not in _FILE_MODES]
    if special:
        return [f"the diff makes {path} a link or a binary file; put files into overlay/" for path in special]
    unsafe = [path for path in patch.paths if path.startswith("/") or ".." in path.split("/")]
    faults = [f"the diff names {path}, which is outside the tree" for path in unsafe]
    oversize = parsed.added > MOST_ADDED_LINES or len(parsed) > MOST_FILES
    if oversize and not patch.fields.get("Oversize"):
        faults.append(
            f"it adds {parsed.added} lines in {len(parsed)} files; past {MOST_ADDED_LINES} lines"
            f" or {MOST_FILES} files the header must say why, in Oversize:"
        )
    if not oversize and "Oversize" in patch.fields:
        faults.append("Oversize: is given, but the patch is not over-sized")
    return faults
