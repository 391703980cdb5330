"""Finding many texts in a line, at a cost that does not grow with their number.

A text of eight characters or more, wherever it stands, has some four characters in a row at
every fifth place of the line. So these are looked up, and what they may belong to is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_service.masking import MASK

SHORTEST = 5
"""Characters of a text that can be found."""
# From which length on: how many characters are looked up, at every how manyth place. Both together are at
# most the length and one.
_BANDS = ((23, 8, 16), (11, 6, 6), (8, 4, 5), (SHORTEST, 4, 2))
# So many are looked for one by one: that is faster.
_FEW = 24
# Characters of a line that are looked at at a time, since a line may have 50 million.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class _Band:
    """Texts of about the same length."""

    size: int
    stride: int
    texts: tuple[str, ...]
    having: dict[str, tuple[str, ...]]
    """The texts that have these characters where they are looked up."""
    grams: frozenset[str]

    @classmethod
    def of(cls, texts: tuple[str, ...], size: int, stride: int) -> _Band:
        having: dict[str, tuple[str, ...]] = {}
        for text in texts:
            for at in range(stride):
                gram = text[at : at + size]
                having[gram] = (*having.get(gram, ()), text)
        return cls(size, stride, texts, having, frozenset(having))

    def is_in(self, line: str) -> bool:
        if len(self.texts) <= _FEW:
            return _one_is_in(line, self.texts)
        size, stride = self.size, self.stride
        last = len(line) - size + 1
        step = _BLOCK * stride
        for start in range(0, last, step):
            found = [line[at : at + size] for at in range(start, min(start + step, last), stride)]
            if not self.grams.isdisjoint(found):
                for gram in self.grams.intersection(found):
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
        for band in self.bands:
            if band.is_in(line):
                return self.pattern.sub(MASK, line)
        return line


def _bands(texts: list[str]) -> Iterator[_Band]:
    longest = len(texts[0]) + 1 if texts else 0
    for shortest, size, stride in _BANDS:
        some = tuple(text for text in texts if shortest <= len(text) < longest)
        if some:
            yield _Band.of(some, size, stride)
        longest = min(longest, shortest)


def _one_is_in(line: str, texts: Iterable[str]) -> bool:
    for text in texts:  # noqa: SIM110  # twice as fast as any()
        if text in line:
            return True
    return False
