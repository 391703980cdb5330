"""Fetch pinned files through the Simple API of the user's own package index.

The index is whichever pip is set up for: environment, pip.conf, extra indexes,
find-links. A file is kept under its sha256 and is never asked for again.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from unearth import Link, PackageFinder
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers import PyPIClient

from builder.errors import BuildError, HashMismatch, IndexFailure
from builder.progress import progress
from builder.release import Source
from builder.workspace import file_sha256, storage

_ATTEMPTS = 3
_CHUNK = 1 << 16
# Some servers would otherwise call a .tar.gz an encoding, and a client unpack it.
_AS_STORED = {"Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Which index to ask: what `pip config` says, in pip's own order."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    certificates: str | None = None
    proxy: str | None = None
    # Only what find_links has, and no index at all.
    no_index: bool = False
    # Seconds without a byte before a try is given up.
    timeout: float = 15.0

    @property
    def index_urls(self) -> list[str]:
        """The main index first; unearth knows the default one's address."""
        if self.no_index:
            return []
        main = self.index_url or PackageFinder().sources[0]["url"]
        return [main, *self.extra_index_urls]


# The parts of pip's configuration that `pip download` reads, and install's, since a
# mirror is often set up for that alone. A later one wins. pip itself lists them in
# no such order, and in another one from version to version.
_SECTIONS = ("global", "install", "download", ":env:")


def pip_settings() -> IndexSettings:
    """Ask the user's pip how it is set up, so that a mirror needs no second configuration."""
    sections: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in _pip_configuration().splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections:
            sections[section][key.removeprefix("default-")] = str(ast.literal_eval(value))
    values: dict[str, str] = {}
    for section in _SECTIONS:
        values |= sections[section]
    timeout = values.get("timeout", "15")
    if not timeout.replace(".", "", 1).isdecimal():
        raise IndexFailure(f"pip's timeout is {timeout!r}, which is no number of seconds")
    return IndexSettings(
        index_url=values.get("index-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        certificates=values.get("cert"),
        proxy=values.get("proxy"),
        no_index=values.get("no-index", "").lower() in ("1", "y", "yes", "t", "true", "on"),
        timeout=float(timeout),
    )


def _pip_configuration() -> str:
    """What `pip config list` prints."""
    # Set by builder.bootstrap: the build's own environment has a pip too, but that one
    # does not know of a configuration file beside the user's Python.
    interpreters = dict.fromkeys([os.environ.get("BUILD_BASE_PYTHON", sys.executable), sys.executable])
    for interpreter in interpreters:
        command = [interpreter, "-m", "pip", "config", "list"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    raise IndexFailure(
        "pip cannot say how it is set up",
        detail=done.stderr,
        cause="a mistake in one of pip's configuration files",
        next_step="mend it; `pip config debug` lists the files",
    )


class _Warnings(logging.Handler):
    """Keeps what unearth says about an index, for the error's message."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    logger = logging.getLogger("unearth")
    handler = _Warnings()
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


class Index:
    """The package indexes that pip would ask."""

    def __init__(self, settings: IndexSettings) -> None:
        self.settings = settings
        urls = settings.index_urls
        try:
            self._client = PyPIClient(
                trusted_hosts=settings.trusted_hosts,
                timeout=settings.timeout,
                verify=settings.certificates or True,
                proxy=settings.proxy,
                follow_redirects=True,
            )
        except (OSError, ValueError) as error:
            raise _unreachable(f"pip's cert or proxy cannot be used: {error}") from None
        # Nobody may be there to answer a question.
        self._client.auth = MultiDomainBasicAuth(prompting=False, index_urls=urls)
        self._finder = PackageFinder(
            session=self._client,  # type: ignore[arg-type]  # unearth's own client, narrower than its protocol
            index_urls=urls,
            find_links=[_as_url(place) for place in settings.find_links],
            trusted_hosts=settings.trusted_hosts,
            ignore_compatibility=True,
        )

    def links(self, project: str) -> list[Link]:
        """Every file that the indexes offer for a project, yanked ones too."""
        with _collected_warnings() as warnings:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    found = list(self._finder.find_all_packages(project, allow_yanked=True))
                    break
                except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
                    if attempt == _ATTEMPTS:
                        raise _unreachable(
                            f"the package index cannot be asked for {project}: {error}"
                        ) from None
        if not found:
            raise _unreachable(f"no package index offers {project}", "\n".join(dict.fromkeys(warnings)))
        return [package.link for package in found]

    def link(self, project: str, file: str) -> Link:
        """Where one file is to be had."""
        for link in self.links(project):
            if link.filename == file:
                return link
        raise IndexFailure(
            f"the package index has {project}, but not the file {file}",
            cause="a mirror that keeps only some releases or only wheels",
            next_step="set up pip for an index that has it (pip config set global.index-url …)",
        )

    def download(self, link: Link, target: Path, size: int | None = None) -> str:
        """Fetch a file whole into `target`; returns its sha256.

        Nothing is left behind when the transfer fails. With `size`, in bytes, a
        longer file is given up as soon as it is longer.
        """
        with storage(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".download-", dir=target.parent)
        os.close(handle)
        partial = Path(name)
        try:
            sha256 = self._transfer_with_retries(link, partial, size)
            partial.replace(target)
            return sha256
        finally:
            partial.unlink(missing_ok=True)

    def _transfer_with_retries(self, link: Link, partial: Path, size: int | None) -> str:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._transfer(link, partial, size)
            except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
                if attempt == _ATTEMPTS:
                    raise _unreachable(
                        f"{link.filename} cannot be downloaded: {error or type(error).__name__}"
                    ) from None
        raise AssertionError("the last attempt returns or raises")

    def _transfer(self, link: Link, partial: Path, size: int | None) -> str:
        sha256 = hashlib.sha256()
        received = 0
        with (
            self._client.get_stream(link.normalized, headers=_AS_STORED) as response,
            storage(partial),
            partial.open("wb") as file,
        ):
            response.raise_for_status()
            total = size or int(response.headers.get("Content-Length", 0))
            with progress(link.filename, total) as advance:
                for chunk in response.iter_raw(_CHUNK):
                    file.write(chunk)
                    sha256.update(chunk)
                    received += len(chunk)
                    advance(len(chunk))
                    if size is not None and received > size:
                        break
        return sha256.hexdigest()


def _as_url(place: str) -> str:
    return place if "://" in place else Path(place).expanduser().absolute().as_uri()


def _unreachable(happened: str, detail: str = "") -> IndexFailure:
    return IndexFailure(
        happened,
        detail=detail,
        cause="no network, a wrong index-url, or a proxy in between; `pip config list` shows what is asked",
        next_step="mend pip's configuration and run the same command again; what is downloaded already is kept",
    )


def cached_file(downloads: Path, source: Source) -> Path:
    """Where a pinned file is kept once it is verified."""
    return downloads / source.sha256 / source.file


def fetch(sources: Sequence[Source], downloads: Path) -> dict[str, Path]:
    """The verified file of each source, by name; asks the index for missing ones only.

    Raises HashMismatch, and keeps nothing, if a file is not the pinned one.
    """
    found = {}
    index: Index | None = None
    for source in sources:
        target = cached_file(downloads, source)
        if not _is_pinned(target, source):
            index = index or Index(pip_settings())
            _fetch_one(index, source, target)
        found[source.file] = target
    return found


def _is_pinned(path: Path, source: Source) -> bool:
    """Whether a cached file is still whole: a disk can lose bytes, too."""
    return path.is_file() and path.stat().st_size == source.size and file_sha256(path) == source.sha256


def _fetch_one(index: Index, source: Source, target: Path) -> None:
    link = index.link(source.project, source.file)
    received = target.with_name(f".unverified-{os.getpid()}")
    try:
        got = index.download(link, received, source.size)
        size = received.stat().st_size
        if got != source.sha256 or size != source.size:
            raise _mismatch(source, got, size)
        received.replace(target)
    finally:
        received.unlink(missing_ok=True)


def _mismatch(source: Source, sha256: str, size: int) -> BuildError:
    return HashMismatch(
        f"{source.file} is not the file that is pinned",
        detail=f"expected {source.size} bytes, sha256 {source.sha256}\ngot      {size} bytes, sha256 {sha256}",
        cause="a download cut short, or a mirror that changed the file; the download was deleted",
        next_step="run the same command again; if it stays so, find out who changed the file. No flag turns this off",
    )
