"""A crawl of a whole site in Chromium: every page, and everything on it that can be pressed."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import BrowserContext, Error, Page

from harness.crawl_view import Control, View, page_faults, read_html
from harness.traffic import Bounds, Traffic, unexpected

_SCRIPT = (Path(__file__).parent / "crawl_page.js").read_text()
# How many of one kind, such as the entries of one menu, are pressed.
_OF_A_KIND = 8
# How often one path is opened in the browser, with other query keys each time; the rest goes by HTTP alone.
_PAGES_OF_A_PATH = 1
# How often a page may send the browser on before it is looked at.
_NAVIGATIONS = 5
_IDLE = "new Promise(done => requestIdleCallback(() => done(true), {timeout: 2000}))"
# From one press on a page to the next one that it made possible, and the next.
_DEPTH = 3


def route(path: str) -> str:
    """What pages of one kind have in common: the path, and the names of what its query gives."""
    parts = urlsplit(path)
    keys = {re.sub(r"\d+", "N", key) for key, value in parse_qsl(parts.query) if value}
    place = re.sub(r"/\d+(?=/|$)", "/N", parts.path)
    return f"{place}?{'&'.join(sorted(keys))}" if keys else place


@dataclass
class Crawl:
    """One crawl; `faults()` says what it found."""

    context: BrowserContext
    bounds: Bounds
    # Faults that are known, as regular expressions.
    expected: tuple[str, ...] = ()
    # What is taken first where several addresses have the same route.
    prefer: str = ""
    # What is written into empty fields of these names, where a word will not do.
    values: dict[str, str] = field(default_factory=dict)
    # Press what there is to press, or only read.
    press: bool = True
    # On how many pages the same button is pressed, and how many of what is of one kind and no button.
    pages_of_a_control: int = 2
    others_of_a_kind: int = 3
    traffic: Traffic = field(init=False)
    page: Page = field(init=False)
    found: list[str] = field(default_factory=list)
    visited: dict[str, str] = field(default_factory=dict)
    pressed: list[str] = field(default_factory=list)
    _queues: tuple[deque[str], deque[str]] = field(default_factory=lambda: (deque(), deque()))
    _queued: Counter[str] = field(default_factory=Counter)
    _opened: Counter[str] = field(default_factory=Counter)
    _kinds: Counter[str] = field(default_factory=Counter)
    _known: dict[str, set[str]] = field(default_factory=dict)
    _later: list[tuple[str, tuple[Control, ...]]] = field(default_factory=list)
    # The page that is open and what was pressed on it, if that is known; and how it looks.
    _state: tuple[str, tuple[Control, ...]] | None = None
    _view: View = field(init=False)

    def __post_init__(self) -> None:
        self.traffic = Traffic(self.context, self.bounds)
        self.context.add_init_script(_SCRIPT)
        self.page = self.context.new_page()
        self.page.on("dialog", lambda dialog: dialog.accept())

    def run(self, *starts: str) -> None:
        """Read all pages that can be reached from some paths; then press what changes something."""
        for path in starts:
            self._queue(f"{self.bounds.origin}{self.bounds.prefix}{path}")
        self._read()
        # What is deleted is no longer there to be pressed, or read.
        for harm in (0, 1, 2):
            while ready := [one for one in self._later if _destroys(one[1][-1]) <= harm]:
                self._later = [one for one in self._later if one not in ready]
                for base, path in ready:
                    self._press(base, path)
                self._read()

    def faults(self) -> list[str]:
        """What is wrong, each with the page that it was seen on, and each once."""
        return unexpected([*self.traffic.faults(), *self.found], self.expected)

    def reached(self, method: str) -> set[str]:
        """The application's paths that were asked for with a method, without their queries."""
        asked = [self.bounds.path(one.url) for one in self.traffic.exchanges if one.method == method]
        return {path.partition("?")[0] for path in asked if path}

    def _queue(self, url: str) -> None:
        path = self.bounds.path(url.partition("#")[0])
        if path is None:
            return
        kind = route(path)
        preferred = bool(self.prefer) and self.prefer in path
        # The first to come may not be the best: one more is taken if it is preferred.
        if self._queued[kind] == 0 or (preferred and self._queued[f"{kind} preferred"] == 0):
            self._queued[kind] += 1
            self._queued[f"{kind} preferred"] += preferred
            self._queues[0 if preferred else 1].append(f"{self.bounds.origin}{self.bounds.prefix}{path}")

    def _read(self) -> None:
        while queue := next((one for one in self._queues if one), None):
            url = queue.popleft()
            path = self.bounds.path(url) or ""
            kind = route(path)
            if kind in self.visited:
                continue
            self.visited[kind] = url
            place = urlsplit(path).path
            self._opened[place] += 1
            if self._opened[place] > _PAGES_OF_A_PATH:
                self._fetch(url)
            elif self._open(url):
                view = self._look()
                if self.press:
                    self._press_each(url, view.controls, ())

    def _fetch(self, url: str) -> None:
        """Get a page without showing it, follow its redirects, and read what it names."""
        for _ in range(5):
            answer = self.context.request.get(url, max_redirects=0)
            exchange = self.traffic.add("GET", url, "document", answer.status)
            if not 300 <= answer.status < 400:
                break
            url = exchange.redirected_to(answer.headers.get("location", ""))
        if answer.headers.get("content-type", "").startswith("text/html"):
            self._note(read_html(url, answer.text()))

    def _open(self, url: str) -> bool:
        """Open a page; False if there is nothing to look at, such as for a download."""
        self._state = None
        try:
            self.page.goto(url, wait_until="load")
        except Error as error:
            if "Download is starting" in error.message or "ERR_ABORTED" in error.message:
                self._fetch(url)
            else:
                self.found.append(f"{url}: cannot be opened: {error.message.splitlines()[0]}")
            return False
        self._settle()
        self._state = (url, ())
        return True

    def _settle(self, timeout: float = 20) -> None:
        """Wait until the page asks for nothing any more, and has nothing left to do."""
        deadline = time.monotonic() + timeout
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            self.page.wait_for_timeout(15)
            # A busy machine takes its time: the page's own idleness counts, not so many milliseconds.
            idle = self._evaluate(_IDLE)
            quiet = quiet + 1 if idle and not self.traffic.waiting else 0
        for other in self.context.pages:
            if other is not self.page:
                self._queue(other.url)
                other.close()

    def _look(self) -> View:
        """Read the page as it is now, and remember its faults and where it leads."""
        seen = None
        for _ in range(_NAVIGATIONS):
            self.page.wait_for_load_state("load")
            if seen := self._evaluate("window.__crawl.see()"):
                break
            self._settle()
        assert isinstance(seen, str), f"{self.page.url} goes on and on"
        self._view = View.of(seen)
        self._note(self._view)
        return self._view

    def _evaluate(self, expression: str, argument: object = None) -> object:
        """What an expression is in the page; None if the page went away meanwhile."""
        try:
            result: object = self.page.evaluate(expression, argument)
            return result
        except Error as error:
            if "context was destroyed" not in error.message and "navigation" not in error.message:
                raise
            return None

    def _note(self, view: View) -> None:
        self.found += page_faults(view, self.bounds)
        for address in view.addresses:
            if address.followed:
                self._queue(address.url)

    def _press_each(self, base: str, controls: list[Control], path: tuple[Control, ...]) -> None:
        for control in controls:
            if not self._is_new(base, control):
                continue
            # First all is read, then changed, then deleted.
            if control.posts or _destroys(control):
                self._later.append((base, (*path, control)))
            else:
                self._press(base, (*path, control))

    def _is_new(self, base: str, control: Control) -> bool:
        """Whether something like it was not pressed before, here or, if it does the same, elsewhere."""
        target = self.bounds.path(control.target) if control.target else ""
        if target is None:
            return False
        here = route(self.bounds.path(base) or "")
        scope = route(target) if target else here if control.declared else ""
        kind = f"{scope}|{control.kind}"
        key = f"{kind}|{control.group}|{control.name}"
        pages = self._known.setdefault(key, set())
        if here in pages or len(pages) >= (1 if target or control.shared else self.pages_of_a_control):
            return False
        if not pages:
            many = control.declared or control.tag in ("button", "input", "g")
            if self._kinds[kind] >= (_OF_A_KIND if many else self.others_of_a_kind):
                return False
            self._kinds[kind] += 1
        pages.add(here)
        return True

    def _press(self, base: str, path: tuple[Control, ...]) -> None:
        """Press one thing after the other on a page, and look at what the last one did."""
        if self._state != (base, path[:-1]):
            if not self._open(base):
                return
            self._look()
            for control in path[:-1]:
                if not self._strike(control):
                    return
                self._look()
        before = self._view.controls
        document = self._mark()
        if not self._strike(path[-1]):
            return
        self.pressed.append(f"{route(self.bounds.path(base) or '')}: {' > '.join(map(str, path))}")
        view = self._look()
        left = document != self._mark(read=True)
        if left and not self.traffic.posted(self.page.url):
            self._state = None
            self._queue(self.page.url)
            return
        known = {control.key for control in before}
        fresh = [control for control in view.controls if control.key not in known]
        self._state = (base, path) if left or view.open else (base, path[:-1])
        # What moved is not found again where it was.
        if not left and not view.open and view.controls != before:
            self._state = None
        if fresh and len(path) < _DEPTH:
            self._state = (base, path)
            self._press_each(base, fresh, path)
            # What was laid open may cover the rest, or have changed it.
            self._state = None

    def _mark(self, read: bool = False) -> Any:
        """A mark that is gone with the document."""
        if not read:
            self.page.evaluate("mark => { window.__mark = mark }", time.monotonic())
        return self.page.evaluate("window.__mark")

    def _strike(self, control: Control) -> bool:
        # Texts of other fields are numbered: some must be unique.
        values = {**self.values, "": str(len(self.pressed) % 60)}
        script = "([path, values]) => window.__crawl.press(path, values)"
        # A page that went away did so because of it.
        struck = self._evaluate(script, [control.path, values]) is not False
        self._settle()
        return struck


def _destroys(control: Control) -> int:
    """0 if nothing is gone afterwards, 1 for a row of a list, 2 for all of a DAG."""
    if re.search(r"/delete\?dag_id=", control.target):
        return 2
    return int(re.search(r"\|Delete|-trash|-remove-circle", str(control)) is not None)
