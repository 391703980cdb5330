"""A headless Chromium that notices whatever goes wrong on a page."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, Response, sync_playwright

from harness.processes import children
from harness.servers import program

_FLAGS = (
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Seconds that closing it may take.
_PATIENCE = 30.0


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a screen and without requests of its own."""
    executable = program("chromium", "/usr/bin")
    before = children(os.getpid())
    with sync_playwright() as playwright:
        (driver,) = children(os.getpid()) - before
        # It may wait for ever for a browser that has gone already.
        last_resort = threading.Timer(_PATIENCE, os.kill, (driver, signal.SIGKILL))
        last_resort.daemon = True
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        try:
            yield browser
        finally:
            last_resort.start()
            with suppress(Error):
                browser.close()
    last_resort.cancel()


# Ace tells developers of a change in its next version, whenever the cursor moves outside of a command.
_NOTICE = "Automatically scrolling cursor into view after selection change"


@dataclass
class Watched:
    """A page, with every fault that it has shown so far."""

    page: Page
    host: str
    screenshots: Path
    # Answers of 400 and more that a test provokes, as parts of their addresses.
    expected: tuple[str, ...] = ()
    # Hosts that may be asked beside the UI's own.
    others: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error in a script: {error}"))
        self.page.on("request", self._on_request)
        self.page.on("requestfailed", self._on_failure)
        self.page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        place = str(message.location.get("url", ""))
        told = message.type == "error" or (message.type == "warning" and not message.text.startswith(_NOTICE))
        if told and not self._is_expected(place):
            self.faults.append(f"console {message.type}: {message.text} ({place})")

    def _on_request(self, request: Request) -> None:
        self.asked.append(request.url)
        parts = urlsplit(request.url)
        hosts = (self.host, *self.others)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc not in hosts:
            self.faults.append(f"request to another host: {request.url}")

    def _on_failure(self, request: Request) -> None:
        # Leaving a page ends what it was still asking for.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"request failed: {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and not self._is_expected(response.url):
            self.faults.append(f"{response.status}: {response.url}")

    def _is_expected(self, url: str) -> bool:
        return any(part in url for part in self.expected)

    def open(self, path: str, status: int = 200) -> Page:
        """Open a page, and wait until all that it asks for is there."""
        if status >= 400:
            self.expected = (*self.expected, path)
        response = self.page.goto(f"http://{self.host}{path}", wait_until="load")
        assert response is not None
        assert response.status == status, f"{path}: {response.status}\n{response.text()[-3000:]}"
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until nothing is being asked for any more."""
        self.page.wait_for_load_state("networkidle")

    def shot(self, name: str) -> None:
        """Keep a picture of the page for the people who look after the UI."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.screenshots / f"{name}.png", full_page=True)

    def check(self) -> None:
        """Fail with all faults since the last check."""
        faults, self.faults = self.faults, []
        assert faults == [], "\n".join(faults)
