"""Read a log as the log page does, look by look, and put down what it would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_service.log_reading.reader import Cursor, Look, Reader
from airflow_service.log_reading.source import Source


@dataclass
class Follower:
    """A page that shows a log: `text` is what stands on it, `looks` what it was answered."""

    sources: Callable[[], list[Source]]
    text: str = ""
    start: int = 0
    cursor: Cursor | None = None
    looks: list[Look] = field(default_factory=list)

    def look(self, *, goes_on: bool = True) -> Look:
        """Ask once for the end, or for what came since."""
        reader = Reader(self.sources())
        look = reader.last() if self.cursor is None else reader.after(self.cursor, goes_on=goes_on)
        self.looks.append(look)
        if look.begins_anew:
            self.text = ""
        if look.page is not None:
            if not self.text:
                self.start = look.page.start
            self.text += look.page.text
        self.cursor = look.cursor or self.cursor
        return look

    def catch_up(self, *, goes_on: bool = False) -> None:
        """Look until there is nothing more."""
        while not self.look(goes_on=goes_on).is_at_end:
            assert len(self.looks) < 1000

    def go_up(self) -> None:
        """Press the button for what is before, until the beginning is there."""
        while self.start:
            assert self.cursor is not None
            look = Reader(self.sources()).before(self.cursor.place, self.start)
            assert look.page is not None, look.trouble
            self.text = look.page.text + self.text
            self.start = look.page.start
