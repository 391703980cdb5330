"""A picture of page loads: one bar a request, each load on its own, all on one time scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from urllib.parse import urlsplit

from benchmarks.visit import Request, Visit

# Pixels.
_LEFT, _WIDTH, _RIGHT = 250, 620, 90
_ROW, _BAR, _TITLE, _AXIS, _TOP = 15, 10, 58, 30, 56

_WAYS = {"tunnel": ("#c2410c", "#fdba74"), "cdn": ("#0f766e", "#5eead4")}
"""Each way's colours: while the answer comes, and while it is waited for."""
_CONNECTING, _QUEUED = "#7c3aed", "#e5e7eb"
_LEGEND = (
    (_QUEUED, "waits its turn"),
    (_CONNECTING, "connects"),
    (_WAYS["tunnel"][1], "tunnel: sent, no answer yet"),
    (_WAYS["tunnel"][0], "answer comes"),
    (_WAYS["cdn"][1], "CDN: sent, no answer yet"),
    (_WAYS["cdn"][0], "answer comes"),
)


@dataclass(frozen=True, slots=True)
class Load:
    """A page load to be drawn, with the way that each host is reached by."""

    title: str
    visit: Visit
    ways: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar, in seconds since the navigation began."""

    begin: float
    end: float
    colour: str


def segments(request: Request, way: str) -> list[Segment]:
    """The parts of a request's bar, in their order; those that took no time are left out."""
    coming, waiting = _WAYS[way]
    marks = [request.begun]
    colours = []
    if request.connecting is not None:
        marks += request.connecting
        colours += [_QUEUED, _CONNECTING]
    marks += [request.sent, request.answered, request.ended]
    colours += [_QUEUED, waiting, coming]
    # What the browser tells in another order than it can have been (a request that was sent
    # on a connection before it was asked for, from the cache) takes no time.
    for place in range(1, len(marks)):
        marks[place] = max(marks[place], marks[place - 1])
    parts = zip(pairwise(marks), colours, strict=True)
    return [Segment(begin, end, colour) for (begin, end), colour in parts if end > begin]


def tick(span: float, most: int = 10) -> float:
    """The distance of the lines of a scale: 1, 2 or 5 times a power of ten, and at most `most` lines."""
    smallest = span / most
    power = 10.0 ** math.floor(math.log10(smallest))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= smallest * (1 - 1e-9))


def label(request: Request) -> str:
    """What a request is called: its file without the hash, or the page's path."""
    parts = urlsplit(request.url)
    name = parts.path.rstrip("/").rpartition("/")[2]
    pieces = name.split(".")
    if parts.path.rpartition("/")[0].endswith("/a") and len(pieces) > 2:
        name = ".".join([*pieces[:-2], pieces[-1]])
    return name if len(name) <= 34 else f"{name[:33]}…"


def draw(loads: Sequence[Load], heading: str) -> str:
    """The picture as SVG; times beneath, one scale for all."""
    span = max(max(load.visit.complete, *(r.ended for r in load.visit.requests)) for load in loads)
    height = _TOP + sum(_TITLE + _ROW * len(load.visit.requests) + _AXIS for load in loads)
    width = _LEFT + _WIDTH + _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>text{font:11px sans-serif;fill:#111827}.s{fill:#6b7280}.h{font-size:15px;font-weight:bold}"
        ".t{font-size:13px;font-weight:bold}.e{text-anchor:end}.m{text-anchor:middle}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="12" y="22" class="h">{escape(heading)}</text>',
        *_legend(),
    ]
    top = _TOP
    for load in loads:
        parts += _load(load, top, span)
        top += _TITLE + _ROW * len(load.visit.requests) + _AXIS
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> Iterator[str]:
    left = 12.0
    for colour, text in _LEGEND:
        yield f'<rect x="{left:.0f}" y="34" width="11" height="{_BAR}" fill="{colour}"/>'
        yield f'<text x="{left + 15:.0f}" y="43">{escape(text)}</text>'
        left += 36 + 5.6 * len(text)


def _load(load: Load, top: float, span: float) -> Iterator[str]:
    """One load: its title, the lines of the scale, a bar for each request, and the marks."""

    def at(seconds: float) -> float:
        return _LEFT + seconds / span * _WIDTH

    requests = sorted(load.visit.requests, key=lambda request: request.begun)
    first = top + _TITLE
    last = first + _ROW * len(requests)
    yield f'<text x="12" y="{top + 24}" class="t">{escape(load.title)}</text>'
    step = tick(span)
    for count in range(int(span / step + 1e-9) + 1):
        yield _line(at(count * step), first - 4, last + 4, "#e5e7eb")
        yield f'<text x="{at(count * step):.1f}" y="{last + 17}" class="s m">{count * step * 1000:.0f} ms</text>'
    for place, request in enumerate(requests):
        yield from _row(request, load.ways[request.host], first + place * _ROW, at)
    for seconds, text, colour in (
        (load.visit.loaded, "loaded", "#1d4ed8"),
        (load.visit.complete, "data there", "#be185d"),
    ):
        yield _line(at(seconds), first - 8, last + 4, colour, 1.5)
        # The two can be close: the first stands left of its line, the second right of its own.
        side = "e" if text == "loaded" else "s"
        yield (
            f'<text x="{at(seconds) + (-4 if side == "e" else 4):.1f}" y="{first - 10}" class="{side}" '
            f'style="fill:{colour}">{text} {seconds * 1000:.0f} ms</text>'
        )


def _row(request: Request, way: str, top: float, at: Callable[[float], float]) -> Iterator[str]:
    yield f'<text x="{_LEFT - 8}" y="{top + 9}" class="e">{escape(label(request))}</text>'
    for part in segments(request, way):
        wide = max(0.5, at(part.end) - at(part.begin))
        yield (
            f'<rect x="{at(part.begin):.1f}" y="{top}" width="{wide:.1f}" height="{_BAR}" fill="{part.colour}"/>'
        )
    size = "cache" if request.cached else f"{request.size / 1000:.1f} kB"
    yield f'<text x="{at(request.ended) + 4:.1f}" y="{top + 9}" class="s">{size}</text>'


def _line(x: float, top: float, bottom: float, colour: str, width: float = 1) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{colour}" stroke-width="{width}"/>'
    )
