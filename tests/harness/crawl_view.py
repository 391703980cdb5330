"""A page as the crawler sees it, and what is wrong with it by itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

from harness.traffic import Bounds

# Attributes that a browser follows, or a page's script sends it along.
_ADDRESSES = ("href", "src", "action", "formaction", "data-action", "data-url", "data-href", "poster")
# As in crawl_page.js.
_PATHS = re.compile(r"""["'`=(]\s*(/(?:[\w.~-]+/)?(?:admin|static|api|health|a)/[^"'`)\s<>]*)""")


@dataclass(frozen=True, slots=True)
class Address:
    """A URL that an element names."""

    tag: str
    attribute: str
    raw: str
    url: str
    # By a script, which does something else than to follow it.
    handled: bool = False

    @property
    def followed(self) -> bool:
        return self.tag in ("a", "area") and self.attribute == "href" and not self.handled


@dataclass(frozen=True, slots=True)
class Control:
    """Something that can be pressed, and how it is found again on the same page."""

    path: str
    tag: str
    # Controls of one kind look the same but for their colour; groups of one kind have one colour and title.
    kind: str
    group: str
    name: str
    target: str
    posts: bool
    # What it does stands in an attribute of its own.
    declared: bool
    # It is in what many pages have in common: the menu, a dialog.
    shared: bool

    @property
    def key(self) -> tuple[str, ...]:
        return (self.kind, self.group, self.name, self.target)

    def __str__(self) -> str:
        return re.sub(r"\|+", "|", f"{self.kind}|{self.group}|{self.name}").strip("|")


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see of a page at one moment."""

    url: str
    addresses: list[Address]
    controls: list[Control]
    alerts: list[tuple[str, str]]
    # Pictures that show nothing.
    blind: list[str]
    # Absolute paths that look like the application's own, anywhere in it.
    paths: list[str]
    # Whether a dialog lies over the page.
    open: bool

    @classmethod
    def of(cls, text: str) -> View:
        seen: dict[str, Any] = json.loads(text)
        return cls(
            url=seen["url"],
            addresses=[Address(**one) for one in seen["addresses"]],
            controls=[Control(**one) for one in seen["controls"]],
            alerts=[(one["kind"], one["text"]) for one in seen["alerts"]],
            blind=seen["blind"],
            paths=seen["paths"],
            open=seen["open"],
        )


def page_faults(view: View, bounds: Bounds) -> list[str]:
    """URLs that lead out, errors that the page tells of, pictures that are missing."""
    found = []
    for address in view.addresses:
        if address.raw.strip() and not address.raw.startswith("#"):
            fault = bounds.fault_of(address.url, link=address.tag == "a")
            found += [f"<{address.tag} {address.attribute}> {fault}"] if fault else []
    found += [f"message: {text}" for kind, text in view.alerts if re.search(r"danger|error", kind)]
    found += [f"picture that shows nothing: {url}" for url in view.blind]
    if bounds.prefix:
        bare = [path for path in view.paths if not path.startswith(f"{bounds.prefix}/")]
        found += [f"path without the prefix in the page: {path}" for path in bare]
    return [f"{view.url}: {fault}" for fault in found]


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.base = url
        self.addresses: list[Address] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        handled = any(
            name == "onclick" or name.startswith(("data-service-", "data-toggle")) for name, _ in attributes
        )
        for name, value in attributes:
            if name in _ADDRESSES and value is not None:
                self.addresses.append(Address(tag, name, value, urljoin(self.base, value.strip()), handled))


def read_html(url: str, text: str) -> View:
    """The same of a page that no browser shows; of its controls nothing is known."""
    reader = _Reader(url)
    reader.feed(text)
    return View(url, reader.addresses, [], [], [], sorted(set(_PATHS.findall(text))), False)
