"""Logs where they were written: a file of this machine, and one of a worker's behind its log server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_service.log_files import open_log
from airflow_service.log_reading.source import NotThere, Unreadable
from airflow_service.log_server import Refused, WeakKey, fetch_log

if TYPE_CHECKING:
    import requests

# How many bytes of an answer are taken at a time.
_BLOCK = 65536


class LocalFile:
    """A file below this machine's log folder. No symbolic link below it is followed: tasks may write there."""

    name = "file"

    def __init__(self, folder: str, relative: str) -> None:
        self.folder = str(Path(folder).expanduser())
        self.relative = relative
        self.where = f"file {Path(self.folder) / relative} of this machine"

    def size(self) -> int:
        """Its size now."""
        with self._opened() as file:
            return os.fstat(file).st_size

    def read(self, start: int, end: int) -> bytes:
        """Raises Unreadable also if it became shorter, or went."""
        try:
            with self._opened() as file:
                blocks = []
                while start < end and (block := os.pread(file, end - start, start)):
                    blocks.append(block)
                    start += len(block)
        except NotThere as error:
            raise Unreadable(str(error)) from None
        if start < end:
            raise Unreadable("it is shorter than it was")
        return b"".join(blocks)

    def near(self, start: int, end: int, *, from_end: bool) -> tuple[int, int]:
        """All of it is."""
        return start, end

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            file = open_log(self.folder, self.relative)
        except (FileNotFoundError, NotADirectoryError):
            raise NotThere("there is no such file") from None
        except ValueError as error:
            raise NotThere(str(error)) from None
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None
        try:
            yield file
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None
        finally:
            with suppress(OSError):
                os.close(file)


class WorkerFile:
    """A file of the worker that ran the task, through its log server, with a token for each request."""

    name = "worker"

    def __init__(self, url: str, relative: str, timeout: float) -> None:
        self.url = url
        self.relative = relative
        self.timeout = timeout
        self.where = f"the worker's log server, {url}"

    def size(self) -> int:
        """Its size now, as the answer to a request for its first byte tells."""
        with self._ask(0, 1) as answer:
            return _size(answer)

    def read(self, start: int, end: int) -> bytes:
        """The range. A log server of the release sends all: what was not asked for is dropped as it comes."""
        if start >= end:
            return b""
        with self._ask(start, end) as answer:
            skip = start if answer.status_code == 200 else 0
            kept = bytearray()
            for block in answer.iter_content(_BLOCK):
                kept += block[skip:]
                skip = max(0, skip - len(block))
                if len(kept) >= end - start:
                    break
        if len(kept) < end - start:
            raise Unreadable("its answer is shorter than it should be")
        return bytes(kept[: end - start])

    def near(self, start: int, end: int, *, from_end: bool) -> tuple[int, int]:
        """All of it is."""
        return start, end

    @contextmanager
    def _ask(self, start: int, end: int) -> Iterator[requests.Response]:
        import requests

        try:
            answer = fetch_log(self.url, self.relative, self.timeout, wanted=(start, end))
            with answer:
                if answer.status_code == 404:
                    raise NotThere("404: it has no such file")
                if answer.status_code not in (200, 206, 416):
                    raise Unreadable(f"it answers {answer.status_code} {answer.reason}")
                yield answer
        except (Refused, WeakKey) as error:
            raise Unreadable(str(error)) from None
        except requests.Timeout:
            raise Unreadable(f"no answer within {self.timeout:g} seconds") from None
        except (requests.RequestException, UnicodeError) as error:
            raise Unreadable(f"it cannot be reached ({_root_of(error)})") from None


def _size(answer: requests.Response) -> int:
    """The whole file's size, by an answer to a request for a part."""
    if answer.status_code == 200:
        told = answer.headers.get("Content-Length", "")
    else:
        found = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", answer.headers.get("Content-Range", ""))
        told = found[1] if found else ""
    if not told.isdecimal():
        raise Unreadable("its answer does not say how long the log is")
    return int(told)


def _root_of(error: BaseException) -> str:
    """The operating system's words, which requests and urllib3 wrap several times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
