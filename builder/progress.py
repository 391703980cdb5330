"""Progress on a terminal, and silence everywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds between two drawings: often enough to look alive.
_INTERVAL = 0.1


def on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A line that shows how much of `total` is done; yields what advances it."""
    done = 0
    drawn = 0.0

    def advance(amount: int) -> None:
        nonlocal done, drawn
        done += amount
        now = time.monotonic()
        if on_terminal() and now - drawn >= _INTERVAL:
            drawn = now
            share = f"{100 * done // total:3d} %" if total else f"{done >> 10} KiB"
            print(f"\r{what}  {share}\033[K", end="", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        if drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


@contextmanager
def step(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Name a step of the build while it runs, and its time when it is done."""
    begun = time.monotonic()
    live = on_terminal() and not quiet
    if live:
        print(f"… {what}", end="", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        if live:
            print(f"\r\033[K✗ {what}", file=sys.stderr)
        raise
    if not quiet:
        start = "\r\033[K" if live else ""
        print(f"{start}✓ {what}  {time.monotonic() - begun:.1f} s", file=sys.stderr)
