"""One load of a page in Chromium: what it asked for, when, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage

_FLAGS = (
    "--no-sandbox",  # the benchmark runs as root, for its namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Milliseconds without a request after which nothing more is expected: an icon is asked for late.
_QUIET = 1500
# Milliseconds that a new tab is given to have started. Its start takes both processors of a small machine,
# which the servers run on too; a reader's browser runs on another.
_TAB = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a page; times in seconds since the navigation began."""

    url: str
    kind: str
    begun: float
    ended: float
    # When its connection was being opened, if it was opened for this request.
    connecting: tuple[float, float] | None
    sent: float
    answered: float
    size: int
    """Bytes on the wire, headers included; 0 if it came out of the browser's cache."""
    cached: bool
    asked_by: str
    """The URL of the style sheet or script that asked for it, else the page's."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def is_data(self) -> bool:
        return self.kind in ("XHR", "Fetch")


@dataclass(frozen=True, slots=True)
class Visit:
    """A page load; times in seconds since the navigation began."""

    requests: tuple[Request, ...]
    loaded: float
    """The end of the load event."""
    faults: tuple[str, ...]
    html: str

    @property
    def complete(self) -> float:
        """When the load event and the page's own XHR were over."""
        return max([self.loaded, *(request.ended for request in self.requests if request.is_data)])


@dataclass
class _Recorder:
    """The browser's own account of a page's requests (the DevTools protocol's Network domain)."""

    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def on_request(self, event: dict[str, Any]) -> None:
        if not event["request"]["url"].startswith("data:"):
            self.asked[event["requestId"]] = event

    def on_response(self, event: dict[str, Any]) -> None:
        self.answers[event["requestId"]] = event["response"]
        if event["response"]["status"] >= 400:
            self.faults.append(f"{event['response']['status']}: {event['response']['url']}")

    def on_cached(self, event: dict[str, Any]) -> None:
        self.cached.add(event["requestId"])

    def on_end(self, event: dict[str, Any]) -> None:
        self.ends[event["requestId"]] = event

    def on_failure(self, event: dict[str, Any]) -> None:
        url = self.asked.get(event["requestId"], {}).get("request", {}).get("url", "?")
        self.faults.append(f"{url}: {event['errorText']}")

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def requests(self) -> Iterator[Request]:
        """All that were answered and have ended, in the order in which they were asked for."""
        if not self.asked:
            return
        zero = min(event["timestamp"] for event in self.asked.values())
        for name, event in self.asked.items():
            if name not in self.answers or name not in self.ends:
                continue
            answer, end = self.answers[name], self.ends[name]
            timing = answer.get("timing") or {}
            base = timing.get("requestTime", event["timestamp"]) - zero

            def at(
                key: str, timing: dict[str, Any] = timing, base: float = base, other: float = 0.0
            ) -> float:
                return base + timing[key] / 1000 if timing.get(key, -1) >= 0 else other

            begun, ended = event["timestamp"] - zero, end["timestamp"] - zero
            connecting = (
                (at("connectStart"), at("connectEnd")) if timing.get("connectStart", -1) >= 0 else None
            )
            cached = name in self.cached or bool(answer.get("fromDiskCache"))
            yield Request(
                url=event["request"]["url"],
                kind=event.get("type", "Other"),
                begun=begun,
                ended=ended,
                connecting=connecting,
                sent=at("sendStart", other=begun),
                answered=at("receiveHeadersEnd", other=ended),
                size=0 if cached else int(end["encodedDataLength"]),
                cached=cached,
                asked_by=event["initiator"].get("url") or event["documentURL"],
            )


def visit(context: BrowserContext, url: str, picture: str | None = None) -> Visit:
    """Load a page in a new tab that is idle, wait until it asks for nothing more, and close it.

    `picture` is where a screenshot goes.
    """
    page = context.new_page()
    recorder = _Recorder()
    session = context.new_cdp_session(page)
    for event, handler in (
        ("requestWillBeSent", recorder.on_request),
        ("responseReceived", recorder.on_response),
        ("requestServedFromCache", recorder.on_cached),
        ("loadingFinished", recorder.on_end),
        ("loadingFailed", recorder.on_failure),
    ):
        session.on(f"Network.{event}", handler)
    session.send("Network.enable")
    page.on("console", recorder.on_console)
    page.on("pageerror", lambda error: recorder.faults.append(f"error in a script: {error}"))
    try:
        page.wait_for_timeout(_TAB)
        page.goto(url, wait_until="load", timeout=120_000)
        page.wait_for_load_state("networkidle", timeout=120_000)
        page.wait_for_timeout(_QUIET)
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
        html = page.content()
        if picture:
            page.screenshot(path=picture)
    finally:
        page.close()
    return Visit(tuple(recorder.requests()), loaded, tuple(recorder.faults), html)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a screen and without requests of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
