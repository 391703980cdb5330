"""The index page through a far tunnel with a near CDN, against the released one through the same tunnel.

Both show the 22 example DAGs, below a prefix, through nginx. The bound is what
no page can beat that must first be fetched through the tunnel:

    2 round trips of the tunnel (connect; page) + the page's own time at the server
    + round trip of the CDN × (1 connect + the sum over the levels of ⌈assets / 6⌉)

A level is what the page names, then what its style sheets name; a browser opens
six connections to a host. With a capacity the CDN's chain takes at least the time
of all bytes. Neither the browser's own time nor slow start is in it.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.network import Network, network
from benchmarks.sites import CDN, DAGS, OURS, RELEASED, Airflow, Sites, serving, shown_dags, unpack
from benchmarks.table import Row, show
from benchmarks.visit import Visit, chromium, visit
from benchmarks.waterfall import Load, draw
from benchmarks.webserver import released
from builder.release import select_release
from builder.workspace import Workspace
from demo.environment import install

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".build" / "benchmarks"
TUNNEL, NEAR = 0.3, 0.02
"""Seconds of a round trip to the proxy, and to the CDN."""
CAPACITY = 4.0
"""Mbit/s of the browser's line in the second table."""
CONNECTIONS = 6

# What the index page may cost; see the module's text for the bound.
FASTER, REQUESTS, KILOBYTES, NEAR_BOUND = 4.0, 4, 40.0, 1.5


@dataclass(frozen=True, slots=True)
class Sample:
    """A cold load and a warm one after it in the same profile, and what nginx counted of both."""

    server_time: float
    cold: Visit
    warm: Visit
    requests: int
    bytes: int
    """Answers through the tunnel in the cold load: how many, and their size with headers."""
    warm_assets: tuple[str, ...]
    """Paths of assets that the warm load asked for, of whomever."""


@dataclass(slots=True)
class Samples:
    """All samples of a network, by side."""

    kind: str
    round_trips: dict[str, float]
    of: dict[str, list[Sample]] = field(default_factory=lambda: {OURS: [], RELEASED: []})
    dags: dict[str, int] = field(default_factory=dict)


def bound(sample: Sample, cdn_host: str, rate: float | None) -> float:
    """Seconds that this load could not be below; see the module's text."""
    before = [request for request in sample.cold.requests if request.begun < sample.cold.loaded]
    assets = [request for request in before if request.host == cdn_host]
    named = [request for request in assets if not request.asked_by.endswith(".css")]
    levels = [len(named), len(assets) - len(named)]
    chain = NEAR * (1 + sum(math.ceil(count / CONNECTIONS) for count in levels))
    transfer = sum(request.size for request in before) / rate if rate else 0.0
    return 2 * TUNNEL + sample.server_time + max(chain, transfer)


def sample(sites: Sites, browser: Browser, side: str, pictures: Path | None) -> Sample:
    """One new profile: the index page cold, and once more."""
    server_time = sites.server_time(side)
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB")
    try:
        begun = sites.log_size()
        cold = visit(context, sites.url(side), str(pictures / f"page_load-{side}.png") if pictures else None)
        middle = sites.log_size()
        through = sites.logged(side, begun)
        warm = visit(context, sites.url(side))
        again = sites.logged(side, middle)
        data = {request.url.partition("?")[0] for request in warm.requests if request.is_data}
        data.add(sites.url(side))
        base = sites.network.url(side)
        assets = [one.path for one in again if f"{base}{one.path.partition('?')[0]}" not in data]
        assets += [one.path for one in sites.logged(CDN, middle) if one.path.startswith("/a/")]
        return Sample(
            server_time, cold, warm, len(through), sum(one.answered for one in through), tuple(assets)
        )
    finally:
        context.close()


def measure(
    rate: float | None, runs: int, airflows: dict[str, Airflow], bundle: Path, folder: Path
) -> tuple[Samples, Network]:
    """Load both sides in turn, `runs` times, through a network of their own."""
    with network({OURS: TUNNEL, RELEASED: TUNNEL, CDN: NEAR}, rate) as net:
        samples = Samples(net.kind, {way: net.round_trip(way) for way in net.listen})
        with serving(net, airflows, bundle, folder) as sites, net.client(), chromium() as browser:
            # The browser's own first page is slower than any other.
            for run in range(-1, runs):
                for side in samples.of:
                    taken = sample(sites, browser, side, RESULTS if run == 0 and rate is None else None)
                    samples.dags[side] = shown_dags(taken.cold.html)
                    if run >= 0:
                        samples.of[side].append(taken)
                        print(f"{side}: {taken.cold.loaded * 1000:.0f} ms", flush=True)
        return samples, net


def rows(samples: Samples, cdn_host: str, rate: float | None) -> list[Row]:
    """The comparisons of a table."""

    def both(figure: Callable[[Sample], float]) -> tuple[list[float], list[float]]:
        return [figure(one) for one in samples.of[OURS]], [figure(one) for one in samples.of[RELEASED]]

    cold = both(lambda one: one.cold.loaded)
    counts, sizes = both(lambda one: one.requests), both(lambda one: one.bytes / 1000)
    bounds = [bound(one, cdn_host, rate) for one in samples.of[OURS]]
    return [
        Row("cold load / the release's", *cold, 1 / FASTER),
        Row("cold load / its bound", cold[0], bounds, NEAR_BOUND),
        Row("requests through the tunnel / allowed", counts[0], [REQUESTS], 1.0, ""),
        Row("kB through the tunnel / allowed", sizes[0], [KILOBYTES], 1.0, "kB"),
        Row("requests through the tunnel / the release's", *counts, unit=""),
        Row("kB through the tunnel / the release's", *sizes, unit="kB"),
        Row("cold load and data / the release's", *both(lambda one: one.cold.complete)),
        Row("warm load / the release's", *both(lambda one: one.warm.loaded)),
        Row("page at the server / the release's", *both(lambda one: one.server_time)),
    ]


def faults(samples: Samples) -> list[str]:
    """What makes the figures void or is past a limit that is zero."""
    found = []
    for way, seconds in samples.round_trips.items():
        wanted = NEAR if way == CDN else TUNNEL
        if abs(seconds - wanted) > max(0.1 * wanted, 0.005):
            found.append(f"a round trip of {way} takes {seconds * 1000:.1f} ms, not {wanted * 1000:.0f}")
    for side, taken in samples.of.items():
        if samples.dags[side] != DAGS:
            found.append(f"{side}: the page shows {samples.dags[side]} DAGs, not {DAGS}")
        found += [f"{side}: {fault}" for one in taken for fault in (*one.cold.faults, *one.warm.faults)]
    found += [f"asked for again when warm: {path}" for one in samples.of[OURS] for path in one.warm_assets]
    return sorted(set(found))


def _median(taken: Sequence[Sample]) -> Visit:
    """The load whose time is the median's, or next to it."""
    return sorted((one.cold for one in taken), key=lambda visit: visit.loaded)[len(taken) // 2]


def report(samples: Samples, net: Network, rate: float | None, name: str) -> int:
    """Print the table, write the pictures; returns how many limits are past."""
    hosts = {net.url(way).removeprefix("http://"): "cdn" if way == CDN else "tunnel" for way in net.listen}
    cdn_host = net.url(CDN).removeprefix("http://")
    path = f"tunnel {TUNNEL * 1000:.0f} ms, CDN {NEAR * 1000:.0f} ms"
    path += f", {rate * 8 / 1e6:g} Mbit/s" if rate else ""
    loads = []
    for side, title in ((OURS, "This distribution"), (RELEASED, "Airflow 1.10.15 as released")):
        taken = _median(samples.of[side])
        loads.append(Load(f"{title}: {_summary(taken, hosts)}", taken, hosts))
    drawn = RESULTS / f"{name}-waterfall.svg"
    drawn.write_text(draw(loads, f"Cold load of the index page, {DAGS} DAGs ({path}, HTTP/1.1)"), "utf-8")
    measured = (f"{way} {seconds * 1000:.1f} ms" for way, seconds in samples.round_trips.items())
    notes = {
        "network": f"{samples.kind}; {path}",
        "round trips as measured": ", ".join(measured),
        "runs": f"{len(samples.of[OURS])}, the two sides in turn; load average {os.getloadavg()[0]:.1f}",
        "cold loads": ", ".join(_spread(side, taken) for side, taken in samples.of.items()),
        "waterfall": str(drawn),
    }
    past = show(f"Index page, {path}", rows(samples, cdn_host, rate), notes, RESULTS / f"{name}.svg")
    found = faults(samples)
    for fault in found:
        print(f"fault: {fault}")
    return past + len(found)


def _summary(taken: Visit, ways: Mapping[str, str]) -> str:
    """How many requests went each way, and their answers' size."""
    parts = []
    for way, text in (("tunnel", "through the tunnel"), ("cdn", "from the CDN")):
        sizes = [request.size for request in taken.requests if ways[request.host] == way]
        if sizes:
            parts.append(f"{len(sizes)} requests {text}, {sum(sizes) / 1000:.0f} kB")
    return "; ".join(parts)


def _spread(side: str, taken: Sequence[Sample]) -> str:
    times = sorted(one.cold.loaded * 1000 for one in taken)
    return f"{side} {times[0]:.0f} to {times[-1]:.0f} ms, median {statistics.median(times):.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7, help="cold loads of each side (default: 7)")
    parser.add_argument(
        "--capacity",
        type=float,
        default=CAPACITY,
        help="Mbit/s in the second table; 0: none (default: %(default)g)",
    )
    arguments = parser.parse_args()
    # Ended by a signal, too, it stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    workspace = Workspace(ROOT)
    release = select_release(workspace.patches, None)
    RESULTS.mkdir(parents=True, exist_ok=True)
    past = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bins = {OURS: install(workspace, release) / "bin", RELEASED: released(workspace)}
        bundle = unpack(workspace.dist / f"airflow-assets-{release.full_version}.tar.gz", folder / "cdn")
        airflows = {side: Airflow(side, place, folder / side) for side, place in bins.items()}
        for airflow in airflows.values():
            airflow.prepare()
        for title, rate in (("page_load", None), ("page_load-capped", arguments.capacity * 125_000)):
            if rate != 0:
                samples, net = measure(rate, arguments.runs, airflows, bundle, folder / f"nginx-{title}")
                past += report(samples, net, rate, title)
    return 1 if past else 0


if __name__ == "__main__":
    sys.exit(main())
