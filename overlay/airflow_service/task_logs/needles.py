"""Finding many texts in a line, at a cost that does not grow with their number.

A text of seven bytes or more, wherever it stands, has some four bytes in a row at every
fourth place of the line. Read as numbers, these are looked up, and what they may belong to
is compared. In UTF-8 a text's bytes stand in a line's where the text stands in the line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from airflow_service.masking import MASK

SHORTEST = 5
"""Characters of a text that can be found."""
# From which length on: how many bytes are looked up, and at every how manyth place. Both together are at
# most the length and one; numbers of four and of eight bytes are what a memoryview tells.
_BANDS = ((15, 8, 8), (7, 4, 4), (SHORTEST, 4, 2))
_FORMATS: dict[int, Literal["I", "Q"]] = {4: "I", 8: "Q"}
# So many are looked for one by one: that is faster.
_FEW = 24


@dataclass(frozen=True, slots=True)
class _Band:
    """Texts of about the same length."""

    size: int
    stride: int
    texts: tuple[str, ...]
    having: dict[int, tuple[str, ...]]
    """The texts that have these bytes where they are looked up."""
    grams: frozenset[int]

    @classmethod
    def of(cls, texts: tuple[str, ...], size: int, stride: int) -> _Band:
        having: dict[int, tuple[str, ...]] = {}
        for text in texts:
            data = _bytes(text)
            for gram in {int.from_bytes(data[at : at + size], sys.byteorder) for at in range(stride)}:
                having[gram] = (*having.get(gram, ()), text)
        return cls(size, stride, texts, having, frozenset(having))

    def is_in(self, line: str, data: bytes) -> bool:
        """`data` are the bytes of the line."""
        if len(self.texts) <= _FEW:
            return _one_is_in(line, self.texts)
        size = self.size
        # More often than at each number's end: again, from a place between them.
        for start in range(0, size, self.stride):
            stop = start + (len(data) - start) // size * size
            if stop <= start:
                continue
            for gram in self.grams.intersection(memoryview(data)[start:stop].cast(_FORMATS[size])):
                if _one_is_in(line, self.having[gram]):
                    return True
        return False


@dataclass(frozen=True, slots=True)
class Index:
    """Texts of SHORTEST characters or more, and how to mask them."""

    pattern: re.Pattern[str]
    bands: tuple[_Band, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Index:
        # The longest first: another may begin with the same characters.
        ordered = sorted(texts, key=len, reverse=True)
        return cls(re.compile("|".join(map(re.escape, ordered))), tuple(_bands(ordered)))

    def masked(self, line: str) -> str:
        """The line without the texts."""
        data = _bytes(line)
        for band in self.bands:
            if band.is_in(line, data):
                return self.pattern.sub(MASK, line)
        return line


def _bands(texts: list[str]) -> Iterator[_Band]:
    left = texts
    for shortest, size, stride in _BANDS:
        some = tuple(text for text in left if len(_bytes(text)) >= shortest)
        left = [text for text in left if len(_bytes(text)) < shortest]
        if some:
            yield _Band.of(some, size, stride)


def _bytes(text: str) -> bytes:
    # What is no character, such as a byte of a file's name, is logged too.
    return text.encode("utf-8", "surrogatepass")


def _one_is_in(line: str, texts: Iterable[str]) -> bool:
    for text in texts:  # noqa: SIM110  # twice as fast as any()
        if text in line:
            return True
    return False
