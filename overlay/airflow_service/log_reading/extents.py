"""What a stored text consists of at one moment, whatever is appended and merged meanwhile."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from threading import Lock
from typing import TypeVar

from airflow_service.log_chain import PARTS, Piece, segment, split
from airflow_service.log_reading.pages import PAGE
from airflow_service.object_store import Denied, Expired, Listed, NoRight, ObjectStore, Stored

# How often a look begins anew because a merge ended while it was taken.
_TURNS = 5
# Texts whose pieces a process remembers.
_REMEMBERED = 256
# Seconds after which a store that did not list is asked to once more.
_ASK_AGAIN = 600
# Names that the store lists at once: more take another request.
_LISTED = 1000
# Bytes that come with a first look: a page, and the one before it, which tells whether a line begins there.
_END = PAGE + 1

T = TypeVar("T")


class Restless(Exception):
    """The text changes faster than it can be looked at."""


@dataclass(frozen=True, slots=True)
class End:
    """The last bytes of a final object: who looks at it for the first time wants to see them."""

    etag: str
    start: int
    data: bytes

    def part(self, start: int, end: int) -> bytes | None:
        """A range of the object, if it is among them."""
        if not self.start <= start <= end <= self.start + len(self.data):
            return None
        return self.data[start - self.start : end - self.start]


@dataclass(frozen=True, slots=True)
class Extent:
    """The pieces of a text. While the final object is the same, they stay, and others follow them."""

    etag: str
    """The final object's; empty if there is none."""
    pieces: Sequence[Piece]

    @property
    def size(self) -> int:
        return self.pieces[-1].end if self.pieces else 0


class Memory:
    """What this process has seen: who follows a log of many segments asks for the new ones alone."""

    def __init__(self) -> None:
        self._extents: OrderedDict[str, Extent] = OrderedDict()
        self._not_listing: dict[str, float] = {}
        self._lock = Lock()

    def recall(self, place: str) -> Extent | None:
        with self._lock:
            return self._extents.get(place)

    def keep(self, place: str, extent: Extent) -> None:
        with self._lock:
            self._extents[place] = extent
            self._extents.move_to_end(place)
            while len(self._extents) > _REMEMBERED:
                self._extents.popitem(last=False)

    def forget(self, place: str) -> None:
        with self._lock:
            self._extents.pop(place, None)

    def may_list(self, store: str) -> bool:
        return time.monotonic() >= self._not_listing.get(store, 0)

    def does_not_list(self, store: str) -> None:
        self._not_listing[store] = time.monotonic() + _ASK_AGAIN


class Extents:
    """Looks at one text; what was seen is kept in `memory`."""

    def __init__(self, store: ObjectStore, relative: str, memory: Memory) -> None:
        self.store = store
        self.relative = relative
        self.memory = memory
        self.place = store.url(relative)
        self.end: End | None = None
        """What the first look read of the final object."""
        # Without the right to list, 403 is also the answer for what is not there.
        self._denied_is_absent = False

    def look(self) -> Extent:
        """The pieces now. Raises StoreError and Restless.

        The final object is looked at last: if it is still the one from which the segments were
        followed, no merge has ended, and all of them are the text's. A segment that was left over,
        or put in a freed place by a writer that was overtaken, lies below a later final object's end.
        """
        known, is_all = self.memory.recall(self.place), False
        if known is None or not known.pieces:
            known, is_all = self._first()
        for _ in range(_TURNS):
            if is_all:
                break
            extent = Extent(known.etag, [*known.pieces, *self._segments(known.size)])
            final = self.final()
            is_all = etag_of(final) == known.etag
            known = extent if is_all else self._from(final)
        if not is_all:
            raise Restless
        self.memory.keep(self.place, known)
        return known

    def final(self) -> Stored | None:
        """The final object; None if there is none."""
        return self._unless_absent(lambda: self.store.head(self.relative))

    def _unless_absent(self, ask: Callable[[], T | None]) -> T | None:
        try:
            return ask()
        except NoRight:
            if self._denied_is_absent:
                return None
            if not any(True for _ in self._segments(0, tell_denied=True)):
                raise
            self._denied_is_absent = True
            return None

    def _first(self) -> tuple[Extent, bool]:
        """The pieces at a first look, by two requests if it may list, and whether they are all.

        The final object is read after the listing, so it has all that it had then: a segment that
        was listed at its end or beyond is the text's, and what was merged meanwhile lies below.
        """
        listed = self._at_once()
        known = self._from(self._read_end())
        if listed is None:
            extent = Extent(known.etag, [*known.pieces, *self._segments(known.size)])
            # A final object that was seen just now, with nothing behind it, was all of the text then.
            return extent, bool(known.etag) and len(extent.pieces) == 1
        behind = dropwhile(lambda one: (split(one.name) or (one.name, 0))[1] < known.size, listed)
        extent = Extent(known.etag, [*known.pieces, *_chained(behind, known.size)])
        return extent, len(listed) < _LISTED

    def _at_once(self) -> list[Listed] | None:
        """What one listing tells of segments; None without the right to it."""
        store = self.store.url("")
        if not self.memory.may_list(store):
            return None
        try:
            return list(self.store.list(f"{self.relative}{PARTS}", limit=_LISTED))
        except Expired:
            raise
        except NoRight:
            self.memory.does_not_list(store)
        except Denied:
            pass  # if it is more than the right to list that is missing, the next request says so
        return None

    def _read_end(self) -> Stored | None:
        found = self._unless_absent(lambda: self.store.end(self.relative, _END))
        if found is None:
            return None
        final, data = found
        self.end = End(final.etag, final.size - len(data), data)
        return final

    def _from(self, final: Stored | None) -> Extent:
        pieces = [Piece(self.relative, 0, final.size, final.etag)] if final else []
        return Extent(etag_of(final), pieces)

    def _segments(self, end: int, *, tell_denied: bool = False) -> Iterator[Piece]:
        """The segments that follow each other from `end` on."""
        store = self.store.url("")
        if self.memory.may_list(store):
            try:
                yield from self._listed(end)
                return
            except Expired:
                raise
            except Denied:
                self.memory.does_not_list(store)
        yield from self._walked(end, tell_denied=tell_denied)

    def _listed(self, end: int) -> Iterator[Piece]:
        # Names sort as offsets do; "/" sorts before "0".
        after = segment(self.relative, end - 1) if end else f"{self.relative}{PARTS}"
        yield from _chained(self.store.list(f"{self.relative}{PARTS}", after=after), end)

    def _walked(self, end: int, *, tell_denied: bool) -> Iterator[Piece]:
        while True:
            name = segment(self.relative, end)
            try:
                found = self.store.head(name)
            except NoRight:
                if tell_denied:
                    raise
                return
            if found is None or not found.size:
                return
            yield Piece(name, end, found.size, found.etag)
            end += found.size
            tell_denied = False


def _chained(listed: Iterable[Listed], end: int) -> Iterator[Piece]:
    """The segments of a listing that follow each other from `end` on."""
    for one in listed:
        place = split(one.name)
        if place is None or place[1] != end or not one.size:
            return
        yield Piece(one.name, end, one.size, one.etag)
        end += one.size


def etag_of(final: Stored | None) -> str:
    """What tells a final object from a later one."""
    return final.etag if final else ""
