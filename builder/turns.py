"""Who is at work in the store: publishers beside each other, but never beside a prune.

A publisher skips what is there already; a prune that deleted it at that moment
would leave a manifest that names nothing. So each of the two first stores a
mark and only then looks for the other's: whichever is second sees the first
and gives way. This needs a store in which a listing shows what was stored
before it, as S3 and its kin promise.

A killed one leaves its mark. Marks are believed for a limited time by the
store's own clock, and who set one stops well within that time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from builder.errors import BuildError, StoreBusy
from builder.store import Store, Stored

PUBLISHING = "publishing/"
PRUNING = "pruning/"
# How long a mark is believed, and how long its owner may go on working.
BELIEVED = timedelta(hours=2)
_ALLOWED = {PUBLISHING: 3600.0, PRUNING: 900.0}
# Seconds for the removal of a mark.
_PATIENCE = 5.0
_HEADERS = {"Content-Type": "text/plain", "Cache-Control": "no-store"}


class Turn:
    """The right to change the store, for a limited time."""

    def __init__(self, key: str, begun: float, allowed: float) -> None:
        self.key = key
        self._end = begun + allowed

    def check(self) -> None:
        """Raise StoreBusy when the time is over, before anything is done that others no longer expect."""
        # The time of day, not a clock that stands still while a machine sleeps.
        if time.time() > self._end:
            raise StoreBusy(
                "this took longer than others wait for it, and was stopped",
                cause="a slow line, or a machine that was asleep meanwhile",
                next_step="run the same command again; it goes on from here",
            )


@contextmanager
def turn(store: Store, kind: str, note: str) -> Iterator[Turn]:
    """Work as one of a `kind`, PUBLISHING or PRUNING. Raises StoreBusy if one of the other kind is at work.

    The mark holds `note` and has a random name: who works, and on which machine, is nobody's business.
    """
    begun = time.time()
    mark = f"{kind}{os.urandom(8).hex()}"
    store.create(mark, f"{note}\n".encode(), _HEADERS)
    try:
        others = store.list(PRUNING if kind == PUBLISHING else PUBLISHING)
        # A prune gives way to another one, too: of two that plan, one would plan with what the other deletes.
        ours = store.list(kind) if others or kind == PRUNING else {}
        if kind == PRUNING:
            others |= {key: one for key, one in ours.items() if key != mark}
        _give_way(store, others, ours.get(mark))
        yield Turn(mark, begun, _ALLOWED[kind])
    finally:
        _remove_mark(store, mark)


def _remove_mark(store: Store, mark: str) -> None:
    """Remove it, or leave it after some seconds: who interrupts because the store hangs must not wait for it again.

    One that stays is disbelieved after a while, and the failure that led here is the one to tell.
    """

    def remove() -> None:
        with suppress(BuildError):
            store.delete([mark])

    removing = threading.Thread(target=remove, daemon=True)
    removing.start()
    removing.join(_PATIENCE)


def _give_way(store: Store, others: dict[str, Stored], own: Stored | None) -> None:
    if not others:
        return
    now = own.modified if own else max(other.modified for other in others.values())
    fresh = [other for other in others.values() if now - other.modified < BELIEVED]
    if fresh:
        first = min(fresh, key=lambda one: one.modified)
        raise StoreBusy(
            f"a {'prune' if first.key.startswith(PRUNING) else 'publish'} is at work in {store.place.url()}",
            detail=f"{store.place.url(first.key)}, since {_time(first.modified)}",
            cause="one that runs now, or was killed less than two hours ago",
            next_step="run the same command again when it has ended; if it was killed, delete its mark first",
        )
    # Left by killed ones. Where deleting is not allowed they stay, and harm nobody.
    with suppress(BuildError):
        store.delete([other.key for other in others.values()])


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
