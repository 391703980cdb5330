"""Cut a text of bytes into pages: at lines' ends, else between characters.

Pages that follow each other join to the text, byte by byte, and as characters: where
they meet, no UTF-8 sequence is cut. A line that is longer than a page goes over several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PAGE = 128 * 1024
"""Bytes of a page, at most."""
# A character has at most three bytes after its first.
_MOST_CONTINUED = 3

Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a text: the bytes from `start` to `end`."""

    start: int
    end: int
    data: bytes
    within_line: bool = False
    """Whether it begins in the middle of a line, which is longer than a page."""

    @property
    def text(self) -> str:
        """As characters; what is no UTF-8 is replaced."""
        return self.data.decode("utf-8", "replace")


def page_before(read: Read, start: int, end: int) -> Page:
    """The last lines of what is between `start` and `end`; `start` is 0, or where to stop at the latest.

    They begin with a line, unless that line is longer than the range.
    """
    if start <= 0:
        return Page(0, end, read(0, end))
    # With the byte before, which says whether a line begins here.
    data = read(start - 1, end)
    newline = data.find(b"\n", 0, len(data) - 1)
    if newline >= 0:
        return Page(start + newline, end, data[newline + 1 :])
    skipped = _continued(data[1:])
    # Something is left of it always, so that whoever goes upwards gets on.
    skipped = skipped if skipped < end - start else 0
    return Page(start + skipped, end, data[1 + skipped :], within_line=True)


def page_after(read: Read, start: int, end: int, *, goes_on: bool) -> Page:
    """What is between `start` and `end`, without a last character that is not whole if the text goes on."""
    data = read(start, end)
    if goes_on:
        data = data[: len(data) - _unfinished(data)]
    return Page(start, start + len(data), data)


def whole_lines(page: Page) -> Page:
    """The page up to its last line's end; all of it if there is none."""
    length = page.data.rfind(b"\n") + 1 or len(page.data)
    return Page(page.start, page.start + length, page.data[:length], page.within_line)


def _continued(data: bytes) -> int:
    """How many bytes at the beginning belong to a character that began before."""
    count = 0
    while count < min(_MOST_CONTINUED, len(data)) and data[count] & 0xC0 == 0x80:
        count += 1
    return count


def _unfinished(data: bytes) -> int:
    """How many bytes at the end are the beginning of a character whose rest is missing."""
    for count in range(1, min(_MOST_CONTINUED, len(data)) + 1):
        byte = data[-count]
        if byte & 0xC0 != 0x80:
            length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return count if length > count else 0
    return 0
