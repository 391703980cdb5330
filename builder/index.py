"""Fetch pinned files through the Simple API of the user's own package index.

The index is whichever pip is set up for: environment, pip.conf, extra indexes,
find-links. A file is kept under its sha256 and is never asked for again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import truststore
from unearth import Link, PackageFinder
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers import PyPIClient

from builder.errors import BuildError, HashMismatch, IndexFailure
from builder.pip import IndexSettings, pip_settings
from builder.progress import progress
from builder.release import Source
from builder.workspace import file_sha256, storage

_ATTEMPTS = 3
# Seconds without a byte after which a partial download is nobody's any more.
_ABANDONED = 24 * 3600.0
_CHUNK = 1 << 16
# Bytes a second, beyond pip's timeout: a server that drips is as bad as one that is silent.
_LEAST_RATE = 2048
# Some servers would otherwise call a .tar.gz an encoding, and a client unpack it.
_AS_STORED = {"Accept-Encoding": "identity"}


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


class _Paced(httpx2.SyncByteStream):
    """An answer's bytes as they come; raises TimeoutError when they come too slowly."""

    def __init__(self, stream: httpx2.SyncByteStream, patience: float) -> None:
        self._stream = stream
        self._patience = patience

    def __iter__(self) -> Iterator[bytes]:
        begun = time.monotonic()
        received = 0
        for raw in self._stream:
            received += len(raw)
            elapsed = time.monotonic() - begun
            if received < (elapsed - self._patience) * _LEAST_RATE:
                raise TimeoutError(f"too slow: {received} bytes in {elapsed:.0f} s")
            yield raw

    def close(self) -> None:
        self._stream.close()


class Index:
    """The package indexes that pip would ask."""

    def __init__(self, settings: IndexSettings) -> None:
        urls = settings.index_urls
        try:
            self._client = PyPIClient(
                trusted_hosts=settings.trusted_hosts,
                timeout=settings.timeout,
                verify=_trusted(settings.certificates),
                proxy=settings.proxy,
                follow_redirects=True,
            )
        except (OSError, ValueError) as error:
            raise _unreachable(f"pip's cert or proxy cannot be used: {error}") from None

        def pace(response: httpx2.Response) -> None:
            # Only the time between two bytes has a limit otherwise. A page is an answer, too.
            if isinstance(response.stream, httpx2.SyncByteStream):
                response.stream = _Paced(response.stream, settings.timeout)

        self._client.event_hooks = {"response": [pace]}
        # Nobody may be there to answer a question.
        self._client.auth = MultiDomainBasicAuth(prompting=False, index_urls=urls)
        # One for each place: that one is out of reach says nothing about the others.
        self._finders = [self._finder(index_urls=[url]) for url in urls]
        self._finders += [self._finder(find_links=[_as_url(place)]) for place in settings.find_links]

    def _finder(self, index_urls: Sequence[str] = (), find_links: Sequence[str] = ()) -> PackageFinder:
        return PackageFinder(
            session=self._client,  # type: ignore[arg-type]  # unearth's own client, narrower than its protocol
            index_urls=index_urls,
            find_links=find_links,
            ignore_compatibility=True,
        )

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def links(self, project: str) -> Iterator[Link]:
        """Every file that the indexes offer for a project, yanked ones too.

        Raises IndexFailure if none of them offers any, with what each one said.
        """
        found = False
        with _collected_warnings() as said:
            for finder in self._finders:
                for link in self._offered(finder, project, said):
                    found = True
                    yield link
        if not found:
            raise _unreachable(f"no package index offers {project}", "\n".join(dict.fromkeys(said)))

    def _offered(self, finder: PackageFinder, project: str, said: list[str]) -> list[Link]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                packages = list(finder.find_all_packages(project, allow_yanked=True))
                return [package.link for package in packages]
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                if attempt == _ATTEMPTS:
                    said.append(f"{_place(finder)}: {error or type(error).__name__}")
            except (ValueError, TypeError, AttributeError, LookupError) as error:
                # Whatever a page that is none makes of the code that reads it.
                said.append(f"{_place(finder)}: not a package index's answer: {error}")
                break
        return []

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
                # Who refuses now (4xx) refuses again; anything else may be over in a moment.
                refused = isinstance(error, httpx2.HTTPStatusError) and error.response.is_client_error
                if refused or attempt == _ATTEMPTS:
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
            announced = response.headers.get("Content-Length", "")
            total = size or (int(announced) if announced.isdecimal() else 0)
            with progress(link.filename, total) as advance:
                for chunk in response.iter_raw(_CHUNK):
                    file.write(chunk)
                    sha256.update(chunk)
                    received += len(chunk)
                    advance(len(chunk))
                    if size is not None and received > size:
                        break
        return sha256.hexdigest()


def _trusted(certificates: str | None) -> ssl.SSLContext:
    """The certificates to trust: pip's `cert`, a file or folder, or the system's."""
    if certificates is None:
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if Path(certificates).is_dir():
        return ssl.create_default_context(capath=certificates)
    return ssl.create_default_context(cafile=certificates)


def _place(finder: PackageFinder) -> str:
    return Link(finder.sources[0]["url"]).redacted


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
    found = {source.file: cached_file(downloads, source) for source in sources}
    missing = [source for source in sources if not _is_pinned(found[source.file], source)]
    if missing:
        with Index(pip_settings()) as index:
            for source in missing:
                _fetch_one(index, source, found[source.file])
    return found


def _is_pinned(path: Path, source: Source) -> bool:
    """Whether a cached file is still whole: a disk can lose bytes, too."""
    return path.is_file() and path.stat().st_size == source.size and file_sha256(path) == source.sha256


def _fetch_one(index: Index, source: Source, target: Path) -> None:
    link = index.link(source.project, source.file)
    received = target.with_name(f".unverified-{os.getpid()}")
    _remove_abandoned(target.parent)
    try:
        got = index.download(link, received, source.size)
        size = received.stat().st_size
        if got != source.sha256 or size != source.size:
            raise _mismatch(source, got, size)
        received.replace(target)
    finally:
        received.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed downloads left; another build's, which is still going on, stays."""
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - _ABANDONED:
                path.unlink()


def _mismatch(source: Source, sha256: str, size: int) -> BuildError:
    return HashMismatch(
        f"{source.file} is not the file that is pinned",
        detail=f"expected {source.size} bytes, sha256 {source.sha256}\ngot      {size} bytes, sha256 {sha256}",
        cause="a download cut short, or a mirror that changed the file; the download was deleted",
        next_step="run the same command again; if it stays so, find out who changed the file. No flag turns this off",
    )
