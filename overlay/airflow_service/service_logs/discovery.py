"""Find the log files of a source: the live ones, and beside them those that rotation left."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from airflow_service.service_logs.files import Found, look, unrotated_name
from airflow_service.service_logs.sources import Source


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file, and whose log it is."""

    source: Source
    name: str
    """What it was written as, below the folder that its pattern fixes: `access.log`, `2026-11-22/etl.py.log`."""
    found: Found

    @property
    def stem(self) -> tuple[str, str]:
        """One for a live log and all that rotation made of it."""
        return self.source.service, self.name


def discover(sources: Iterable[Source], problems: list[str]) -> list[LogFile]:
    """All files, each once, the oldest first; what cannot be looked at is told among the problems."""
    seen: dict[tuple[int, int], LogFile] = {}
    for source in sources:
        for pattern in source.paths:
            for file in _matching(source, pattern, problems):
                seen.setdefault(file.found.same, file)
    return sorted(
        seen.values(), key=lambda file: (file.found.modified, not file.found.rotated, str(file.found.path))
    )


def _matching(source: Source, pattern: str, problems: list[str]) -> Iterator[LogFile]:
    root = source.fixed_folder(pattern)
    steps = Path(pattern).relative_to(root).parts
    last = re.compile(translate(steps[-1]))
    for folder in _folders(root, steps[:-1], problems):
        for entry in _entries(folder, problems):
            if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
                continue
            name, rotated = unrotated_name(entry.name)
            if not last.match(name):
                # With `app-*`, `app-20261122` is a live log: there is no `app` that it could come from.
                name, rotated = entry.name, False
            if last.match(name) and (found := look(Path(entry.path), rotated=rotated, below=root)):
                yield LogFile(source, (folder / name).relative_to(root).as_posix(), found)


def _folders(root: Path, steps: tuple[str, ...], problems: list[str]) -> Iterator[Path]:
    """The folders below `root` that match; none through a symbolic link."""
    if not steps:
        yield root
        return
    if steps[0] == "**":
        yield from _folders(root, steps[1:], problems)
        below, rest = re.compile(""), steps
    else:
        below, rest = re.compile(translate(steps[0])), steps[1:]
    for entry in _entries(root, problems):
        if entry.is_dir(follow_symlinks=False) and below.match(entry.name):
            yield from _folders(Path(entry.path), rest, problems)


def _entries(folder: Path, problems: list[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        # A service that this node does not run.
        return []
    except OSError as error:
        problems.append(f"{folder} cannot be listed: {error.strerror}")
        return []
