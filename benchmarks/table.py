"""Rows of times as ratios: an absolute time says more of the machine than of the code."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: seconds (or bytes) of ours and of what it is held against."""

    name: str
    ours: Sequence[float]
    other: Sequence[float]
    limit: float | None = None
    """The greatest ratio that is let through; None for a row that is only told of."""
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours over the other, of the medians."""
        return statistics.median(self.ours) / statistics.median(self.other)

    @property
    def is_past(self) -> bool:
        return self.limit is not None and self.ratio > self.limit

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest ratio of the runs, pair by pair."""
        others = self.other if len(self.other) > 1 else list(self.other) * len(self.ours)
        ratios = [ours / other for ours, other in zip(self.ours, others, strict=False)]
        return min(ratios), max(ratios)


def show(title: str, rows: Sequence[Row], notes: Mapping[str, str], target: Path) -> int:
    """Print the table and write it as a picture, `target` (SVG); returns how many rows are past their limit."""
    print(f"\n{title}")
    print(f"{'':44}{'ours':>12}{'other':>12}{'ratio':>8}{'pairs':>15}{'limit':>8}")
    for row in rows:
        ours, other = statistics.median(row.ours), statistics.median(row.other)
        low, high = row.spread
        print(
            f"{row.name:44}{ours:>10.2f} {row.unit}{other:>10.2f} {row.unit}{row.ratio:>8.2f}"
            f"{f'{low:.2f} to {high:.2f}':>15}{'' if row.limit is None else f'{row.limit:.2f}':>8}"
        )
    for name, note in notes.items():
        print(f"{name}: {note}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_picture(title, rows), "utf-8")
    print(f"picture: {target}")
    past = [row.name for row in rows if row.is_past]
    for name in past:
        print(f"past its limit: {name}")
    return len(past)


def _picture(title: str, rows: Sequence[Row]) -> str:
    """Bars of the ratios, with a mark at each limit."""
    scale = 360 / max([1.0, *(max(row.ratio, row.limit or 0) for row in rows)])
    parts = [f'<text x="10" y="24" font-size="16" font-weight="bold">{escape(title)}</text>']
    for place, row in enumerate(rows):
        top = 48 + 40 * place
        colour = "#c43" if row.is_past else "#89a" if row.limit is None else "#2a7"
        parts += [
            f'<text x="10" y="{top + 16}">{escape(row.name)}</text>',
            f'<rect x="330" y="{top}" width="{row.ratio * scale:.1f}" height="22" fill="{colour}"/>',
            f'<text x="{336 + row.ratio * scale:.1f}" y="{top + 16}">{row.ratio:.2f} ×</text>',
        ]
        if row.limit is not None:
            mark = f"{330 + row.limit * scale:.1f}"
            parts.append(
                f'<line x1="{mark}" x2="{mark}" y1="{top - 4}" y2="{top + 26}" stroke="#333" stroke-dasharray="3"/>'
            )
    height = 60 + 40 * len(rows)
    style = '<style>text{font:13px sans-serif}</style><rect width="100%" height="100%" fill="#fff"/>'
    body = "".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}">{style}{body}</svg>\n'
