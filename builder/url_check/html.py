"""URLs in HTML: attributes, inline scripts and styles."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from html.parser import HTMLParser

from builder import css
from builder.url_check.javascript import read_javascript
from builder.url_check.routes import Routes
from builder.url_check.texts import HOLE, Kind, Written, kind_of, shown

_ADDRESSES = {
    "href", "src", "action", "formaction", "data", "poster", "background", "cite", "longdesc", "manifest",
    "ping", "icon", "codebase", "profile", "usemap", "xlink:href", "hx-get", "hx-post",
}  # fmt: skip
_SCRIPT_TYPES = re.compile(r"(?i)^$|module|(?:java|ecma)script|json|importmap")
_REFRESH = re.compile(r"(?i)^\s*[\d.]+\s*[;,]\s*(?:url\s*=)?\s*['\"]?")
_TAG = re.compile(r"(?i)<[a-z][\w-]*\s[^<]*?[a-z:-]+\s*=|<(?:script|style)\b[^<]*>")
_CSS = re.compile(r"(?i)url|@import|image-set|src\(|\\")

Lines = Callable[[int], int]


def looks_like_html(text: str) -> bool:
    """Whether a text holds a tag with an attribute."""
    return "<" in text and _TAG.search(text) is not None


def read_html(text: str, file: str, lines: Lines, routes: Routes) -> list[Written]:
    """What is written by hand in a piece of HTML; `lines` tells the line of an offset."""
    reader = _Reader(text, file, lines, routes)
    reader.feed(text)
    reader.close()
    reader.finish_raw()
    return reader.found


def read_css(text: str, file: str, lines: Lines, routes: Routes) -> list[Written]:
    """What is written by hand in a style sheet, or in the value of `style`."""
    if not _CSS.search(text):
        return []
    try:
        references = css.references(text.replace(HOLE, "x"))
    except css.CssFault as fault:
        return [Written(file, lines(0) + fault.line - 1, fault.message, Kind.UNREADABLE)]
    found = []
    for reference in references:
        kind = kind_of(reference.url)
        if kind in (Kind.PATH, Kind.HOST):
            found.append(
                Written(
                    file, lines(reference.start), shown(reference.url), kind, routes.url_for(reference.url)
                )
            )
    return found


class _Reader(HTMLParser):
    def __init__(self, text: str, file: str, lines: Lines, routes: Routes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Written] = []
        self._text, self._file, self._lines, self._routes = text, file, lines, routes
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._raw: tuple[str, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        start, written = self._offset(), self.get_starttag_text() or ""
        for name, value in attrs:
            if value:
                place = written.lower().find(name)
                self._attribute(tag, name, value, start + max(place, 0), dict(attrs))
        if tag in ("script", "style"):
            self.finish_raw()
            kind = dict(attrs).get("type") or ""
            if tag == "style" or _SCRIPT_TYPES.search(kind):
                self._raw = (tag, start + len(written))

    def handle_endtag(self, tag: str) -> None:
        if self._raw and tag == self._raw[0]:
            self.finish_raw(self._offset())

    def finish_raw(self, end: int | None = None) -> None:
        """Read the script or style that ends here."""
        if self._raw is None:
            return
        (tag, start), self._raw = self._raw, None
        body = self._text[start:end]
        read = read_javascript if tag == "script" else read_css
        self.found += read(body, self._file, lambda offset: self._lines(start + offset), self._routes)

    def _attribute(self, tag: str, name: str, value: str, offset: int, others: dict[str, str | None]) -> None:
        def lines(within: int) -> int:
            # An attribute's entities are decoded: its line is where it begins.
            return self._lines(offset) + value.count("\n", 0, within)

        if name == "style":
            self.found += read_css(value, self._file, lines, self._routes)
        elif name.startswith("on"):
            self.found += read_javascript(value, self._file, lines, self._routes)
        elif name == "srcdoc":
            self.found += read_html(value, self._file, lines, self._routes)
        elif name in ("srcset", "imagesrcset"):
            for candidate in value.split(","):
                self._address(candidate.strip().split(" ")[0], lines(0))
        elif name == "content" and (others.get("http-equiv") or "").lower() == "refresh":
            self._address(_REFRESH.sub("", value), lines(0))
        elif value.lstrip().lower().startswith("javascript:") and name in _ADDRESSES:
            self.found += read_javascript(
                value.lstrip()[len("javascript:") :], self._file, lines, self._routes
            )
        elif name.startswith("data-") and value.lstrip()[:1] in ("{", "["):
            found = read_javascript(value, self._file, lines, self._routes)
            # It need not be JSON.
            self.found += [written for written in found if written.kind is not Kind.UNREADABLE]
        elif name in _ADDRESSES or (name.startswith("data-") and not re.search(r"\s", value.strip())):
            self._address(value, lines(0), strict=name in _ADDRESSES)

    def _address(self, text: str, line: int, *, strict: bool = True) -> None:
        kind = self._routes.kind_of(text)
        if kind is Kind.PATH and not strict and len(text.strip()) == 1:
            kind = None  # data-separator="/"
        if kind is not None:
            self.found.append(Written(self._file, line, shown(text), kind, self._routes.url_for(text)))

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._starts[line - 1] + column


def line_table(text: str, first: int = 1) -> Lines:
    """The lines of a text's offsets, counted from `first`."""
    ends = [match.end() for match in re.finditer("\n", text)]
    return lambda offset: first + bisect_right(ends, offset)
