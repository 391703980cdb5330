"""All that a browser asks for, and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

# What a browser fetches to show a page, rather than the page or its data.
ASSET_TYPES = frozenset({"script", "stylesheet", "image", "font", "media", "manifest", "texttrack"})
# Leaving a page ends what it was still asking for, as does an answer that is a download; and who goes
# back to the answer of a form is asked whether to send it again.
_NO_FAILURES = ("net::ERR_ABORTED", "net::ERR_CACHE_MISS")
_OWN_SCHEMES = ("data", "blob", "about", "javascript", "mailto")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a site is: its origin, such as `http://127.0.0.1:8080`, its prefix, and its CDN's origin if it has one."""

    origin: str
    prefix: str = ""
    cdn: str = ""
    # Hosts that a page may link to, for a user to follow; nothing is ever asked of them.
    linked: tuple[str, ...] = ()
    # Paths below the prefix from which assets may come although there is a CDN: a plugin's own.
    own_assets: tuple[str, ...] = ()

    def path(self, url: str) -> str | None:
        """The application's own path of a URL with its query, without the prefix; None outside."""
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            return None
        if parts.path != self.prefix and not parts.path.startswith(f"{self.prefix}/"):
            return None
        path = parts.path.removeprefix(self.prefix) or "/"
        return f"{path}?{parts.query}" if parts.query else path

    def fault_of(self, url: str, *, link: bool = False) -> str | None:
        """Why a URL must not be asked for, or with `link` not be named in a page."""
        parts = urlsplit(url)
        if parts.scheme in _OWN_SCHEMES:
            return None
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin == self.origin:
            return None if self.path(url) is not None else f"outside the prefix: {url}"
        if self.cdn and origin == self.cdn:
            return None
        if link and parts.netloc in self.linked:
            return None
        return f"foreign host: {url}"

    def is_own_asset(self, url: str) -> bool:
        return (self.path(url) or "").startswith(self.own_assets) if self.own_assets else False


@dataclass(slots=True)
class Exchange:
    """A request, and its answer as far as it has come."""

    method: str
    url: str
    kind: str
    page: str
    status: int = 0
    failure: str = ""
    location: str = ""

    def redirected_to(self, location: str) -> str:
        """Note where the answer sends the browser; returns that as a whole URL."""
        self.location = urljoin(self.url, location)
        return self.location

    def faults(self, bounds: Bounds) -> list[str]:
        """What is wrong with it, by the address and the answer alone."""
        found = [fault] if (fault := bounds.fault_of(self.url)) else []
        if self.status >= 400:
            found.append(f"{self.status}: {self.method} {self.url}")
        if self.failure and self.failure not in _NO_FAILURES:
            found.append(f"{self.failure}: {self.method} {self.url}")
        if self.location and (fault := bounds.fault_of(self.location)):
            found.append(f"redirect of {self.url} {fault}")
        through_tunnel = self.url.startswith(f"{bounds.origin}/") and self.kind in ASSET_TYPES
        if bounds.cdn and through_tunnel and not bounds.is_own_asset(self.url):
            found.append(f"asset through the tunnel: {self.url}")
        return found


@dataclass
class Traffic:
    """Records what a browser context does, from the moment it is made."""

    context: BrowserContext
    bounds: Bounds
    exchanges: list[Exchange] = field(default_factory=list)
    # What was said in consoles, and by scripts that failed: (page, message).
    messages: list[tuple[str, str]] = field(default_factory=list)
    waiting: dict[Request, Exchange] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.context.on("request", self._on_request)
        self.context.on("response", self._on_response)
        self.context.on("requestfinished", self._on_end)
        self.context.on("requestfailed", self._on_failure)
        self.context.on("console", self._on_console)
        self.context.on("weberror", self._on_error)

    def _on_request(self, request: Request) -> None:
        exchange = Exchange(request.method, request.url, request.resource_type, _page_of(request))
        self.exchanges.append(exchange)
        self.waiting[request] = exchange

    def _on_response(self, response: Response) -> None:
        if exchange := self.waiting.get(response.request):
            exchange.status = response.status
            if 300 <= response.status < 400 and (location := response.headers.get("location")):
                exchange.redirected_to(location)

    def _on_end(self, request: Request) -> None:
        self.waiting.pop(request, None)

    def _on_failure(self, request: Request) -> None:
        if exchange := self.waiting.pop(request, None):
            exchange.failure = request.failure or "failed"

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            page = message.page.url if message.page else ""
            place = message.location.get("url", "")
            self.messages.append((page, f"console {message.type}: {message.text} ({place})"))

    def _on_error(self, error: WebError) -> None:
        self.messages.append((error.page.url if error.page else "", f"error in a script: {error.error}"))

    def add(self, method: str, url: str, kind: str, status: int) -> Exchange:
        """Note a request that was made past the pages."""
        self.exchanges.append(Exchange(method, url, kind, "", status))
        return self.exchanges[-1]

    def posted(self, url: str) -> bool:
        """Whether the last document from a URL was the answer to a POST."""
        documents = [one for one in self.exchanges if one.kind == "document" and one.url == url]
        return bool(documents) and documents[-1].method == "POST"

    def faults(self, expected: tuple[str, ...] = ()) -> list[str]:
        """All faults so far, each with the page that it was seen on.

        `expected` are regular expressions for what a release is known to do.
        """
        found = [
            f"{exchange.page}: {fault}"
            for exchange in self.exchanges
            for fault in exchange.faults(self.bounds)
        ]
        found += [f"{page}: {message}" for page, message in self.messages]
        return unexpected(found, expected)


def unexpected(faults: list[str], expected: tuple[str, ...]) -> list[str]:
    """The faults that no pattern is found in, each once."""
    return [one for one in dict.fromkeys(faults) if not any(re.search(known, one) for known in expected)]


def _page_of(request: Request) -> str:
    if request.is_navigation_request():
        return request.headers.get("referer", "")
    try:
        return request.frame.url
    except Exception:  # a worker's request has no frame
        return ""
