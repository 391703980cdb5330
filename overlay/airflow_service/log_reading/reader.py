"""A task's log as the pages of the UI ask for it: the end, what came since, what was before."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_service.log_reading.joined import WithLocalTail
from airflow_service.log_reading.pages import PAGE, Page, page_after, page_before
from airflow_service.log_reading.source import NotThere, Source, Unreadable

# A follower that is further behind than this begins anew at the end, rather than catch up.
_FAR_BEHIND = 8 * PAGE
_MARKED = 256
NOWHERE = "The log is nowhere to be found. It was looked for in:"
_MARK = re.compile(r"(\d{1,3}):([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far somebody has read, in which place's copy, and what was there."""

    place: str
    offset: int
    mark: str = ""
    """The length and the digest of the last bytes before the offset."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a log found."""

    page: Page | None
    """None if no place has the log."""
    size: int = 0
    cursor: Cursor | None = None
    where: str = ""
    told: tuple[str, ...] = ()
    """What the places said that were asked and are not read."""
    trouble: str = ""
    """What went wrong, and may go right at the next look."""
    begins_anew: bool = False
    """Whether what was shown before is to be thrown away."""
    ahead: int = 0
    """How many of the text's bytes are on this machine, and not in the store yet."""

    @property
    def is_at_end(self) -> bool:
        """Whether this is all that there is now."""
        return not self.trouble and (self.page is None or self.page.end >= self.size)


@dataclass(frozen=True, slots=True)
class Found:
    """The copy that is read, and what was said elsewhere."""

    source: Source | None
    size: int = 0
    told: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    """Of these, what places said that could not be asked, and so may have the log, or more of it."""


class Reader:
    """The copies of one try's log, the best first."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources

    def last(self) -> Look:
        """The last page, of the best place that can be read."""
        found = self.find()
        while found.source is not None:
            try:
                return _last_of(found, found.source)
            except Unreadable as error:
                trouble = f"{found.source.where}: {error}"
                behind = self.sources[list(self.sources).index(found.source) + 1 :]
                found = _find(behind, None, [*found.told, trouble], [*found.troubles, trouble])
        return Look(None, told=found.told, trouble="; ".join(found.told) if found.troubles else "")

    def after(self, cursor: Cursor, *, goes_on: bool) -> Look:
        """What came since; all of it is shown if nothing more is to come (`goes_on` is False)."""
        found = self.find(cursor)
        source = found.source
        if source is None:
            trouble = "; ".join(found.told)
            return Look(None, cursor=cursor, told=found.told, trouble=trouble)
        try:
            same = source.name == cursor.place or self._agrees(source, found.size, cursor)
            if not same or not cursor.offset <= found.size <= cursor.offset + _FAR_BEHIND:
                return _last_of(found, source, begins_anew=True)
            start, end = source.near(cursor.offset, min(found.size, cursor.offset + PAGE), from_end=False)
            page = page_after(source.read, start, end, goes_on=goes_on or end < found.size)
        except Unreadable as error:
            return Look(None, cursor=cursor, told=found.told, trouble=f"{source.where}: {error}")
        mark = _mark(page.data) or (cursor.mark if page.end == cursor.offset else "")
        cursor = Cursor(source.name, page.end, mark)
        return _look(found, page, cursor, source)

    def before(self, place: str, offset: int) -> Look:
        """The page that ends at an offset of this place's copy."""
        source = next((one for one in self.sources if one.name == place), None)
        if source is None:
            return Look(None, trouble=f"there is no place {place!r}")
        try:
            size = source.size()
            if offset > size:
                return Look(None, trouble=f"{source.where}: it is shorter than it was; load the page anew")
            start, end = source.near(max(0, offset - PAGE), offset, from_end=True)
            return Look(page_before(source.read, start, end), size, where=source.where)
        except (NotThere, Unreadable) as error:
            return Look(None, trouble=f"{source.where}: {error}")

    def find(self, cursor: Cursor | None = None) -> Found:
        """The first place that has the log.

        Who has read further in another place's copy stays there until the better one has as
        much; a place that was read and fails is asked again, and no other instead.
        """
        return _find(self.sources, cursor, [], [])

    def _agrees(self, source: Source, size: int, cursor: Cursor) -> bool:
        """Whether this copy has, before the offset, what the other one had there."""
        match = _MARK.fullmatch(cursor.mark)
        if not match or int(match[1]) > cursor.offset or cursor.offset > size:
            return False
        start = cursor.offset - int(match[1])
        return _mark(source.read(start, cursor.offset)) == cursor.mark


def _find(sources: Sequence[Source], cursor: Cursor | None, told: list[str], troubles: list[str]) -> Found:
    shorter: Found | None = None
    for source in sources:
        try:
            size = source.size()
        except NotThere as error:
            told.append(f"{source.where}: {error}")
            continue
        except Unreadable as error:
            told.append(f"{source.where}: {error}")
            troubles.append(told[-1])
            if cursor and cursor.place == source.name:
                return Found(None, 0, (told[-1],), (told[-1],))
            continue
        found = Found(source, size, tuple(told), tuple(troubles))
        if cursor and source.name != cursor.place and size < cursor.offset:
            shorter = shorter or found
            continue
        return found
    return shorter or Found(None, 0, tuple(told), tuple(troubles))


def _last_of(found: Found, source: Source, *, begins_anew: bool = False) -> Look:
    start, end = source.near(max(0, found.size - PAGE), found.size, from_end=True)
    page = page_before(source.read, start, end)
    # The rest of a last character may come.
    cut = page_after(lambda start, end: page.data, page.start, page.end, goes_on=True)
    page = Page(cut.start, cut.end, cut.data, page.within_line) if cut.data else page
    return _look(found, page, Cursor(source.name, page.end, _mark(page.data)), source, begins_anew=begins_anew)


def _look(found: Found, page: Page, cursor: Cursor, source: Source, *, begins_anew: bool = False) -> Look:
    """A page; that a better place could not be asked, and may have more, is trouble."""
    ahead = source.ahead if isinstance(source, WithLocalTail) else 0
    trouble = "; ".join(found.troubles)
    return Look(page, found.size, cursor, source.where, found.told, trouble, begins_anew, ahead)


def _mark(data: bytes) -> str:
    """Tells the end of a page from another one's; nothing for an empty one."""
    tail = data[-_MARKED:]
    return f"{len(tail)}:{hashlib.blake2b(tail, digest_size=8).hexdigest()}" if tail else ""
