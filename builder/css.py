"""References inside a style sheet, found by a tokenizer and replaced in place.

A style sheet is not parsed and written out again: only the characters of a
reference are replaced, so that every other byte stays what upstream shipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tinycss2

# tinycss2 normalises line ends before it counts lines; these are the ones it knows.
_LINE_END = re.compile(r"\r\n|[\r\n\f]")
_ESCAPED = r"\\(?:\r\n|[\s\S])"
_STRING = re.compile(rf"""(?s)"((?:[^"\\]|{_ESCAPED})*)"|'((?:[^'\\]|{_ESCAPED})*)'""")
_SPACE = r"[ \t\r\n\f]*"
_UNQUOTED = re.compile(rf"(?:[^(\\]|{_ESCAPED})*\({_SPACE}((?:[^)\\ \t\r\n\f]|{_ESCAPED})*){_SPACE}\)")

# A sheet without any of these has nothing to rewrite, and tokenizing is slow.
# The backslash is there because an escape can spell any of the words.
_WORTH_A_LOOK = re.compile(r"(?i)url|@import|src\(|image-set|sourcemappingurl|\\")

# Functions whose strings are addresses that the browser fetches.
_STRINGS_ARE_URLS = {"url", "src", "image-set", "-webkit-image-set"}
_SOURCE_MAP = re.compile(r"[#@]\s*sourceMappingURL=")


class CssFault(Exception):
    """A style sheet that cannot be rewritten safely, with the line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Reference:
    """One address in a style sheet: `text[start:end]`, decoded as `url`."""

    start: int
    end: int
    line: int
    url: str


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int


def rewrite(text: str, resolve: Callable[[Reference], str | None]) -> str:
    """Replace each reference by what `resolve` returns for it.

    None leaves a reference as it is. A replacement must need no escape in CSS.
    Comments that name a source map are dropped. Raises CssFault.
    """
    if not _WORTH_A_LOOK.search(text):
        return text
    pieces: list[str] = []
    done = 0
    for found in _scan(text):
        replacement = resolve(found) if isinstance(found, Reference) else ""
        if replacement is not None:
            pieces += text[done : found.start], replacement
            done = found.end
    return "".join((*pieces, text[done:]))


def references(text: str) -> list[Reference]:
    """All addresses that a browser may fetch, in the order of the text."""
    return [found for found in _scan(text) if isinstance(found, Reference)]


def _scan(text: str) -> list[Reference | _Span]:
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def offset(node: Any) -> int:
        return starts[int(node.source_line) - 1] + int(node.source_column) - 1

    found = list(_walk(tinycss2.parse_component_value_list(text), text, offset))
    return sorted(found, key=lambda item: item.start)


def _walk(nodes: Sequence[Any], text: str, offset: Callable[[Any], int]) -> Iterator[Reference | _Span]:
    """Yield what is in one list of tokens and in the blocks below it."""
    importing = naming = False
    for node in nodes:
        kind = node.type
        if kind == "at-keyword":
            importing = node.lower_value == "import"
            naming = node.lower_value == "namespace"  # its url is a name that nobody fetches
        elif kind == "comment":
            if _SOURCE_MAP.match(node.value):
                start = offset(node)
                end = text.find("*/", start + 2)
                yield _Span(start, len(text) if end < 0 else end + 2)
        elif kind == "literal" and node.value == ";":
            importing = naming = False
        elif naming:
            pass
        elif kind == "url":
            yield _unquoted(node, text, offset(node))
            importing = False
        elif kind == "string":
            if importing:
                yield _quoted(node, text, offset(node))
            importing = False
        elif kind == "function":
            yield from _function(node, text, offset)
        elif kind == "error" and node.kind in ("bad-url", "eof-in-url"):
            raise CssFault(node.source_line, f"url(…) is broken: {node.message}")
        elif kind.endswith("block"):
            yield from _walk(node.content, text, offset)


def _function(node: Any, text: str, offset: Callable[[Any], int]) -> Iterator[Reference | _Span]:
    if node.lower_name in _STRINGS_ARE_URLS:
        for argument in node.arguments:
            if argument.type == "string":
                yield _quoted(argument, text, offset(argument))
            elif argument.type == "error":
                raise CssFault(argument.source_line, f"{node.name}(…) is broken: {argument.message}")
    yield from _walk(node.arguments, text, offset)


def _quoted(node: Any, text: str, start: int) -> Reference:
    match = _STRING.match(text, start)
    if match is None:
        raise CssFault(node.source_line, "a string that does not end")
    group = 1 if match[1] is not None else 2
    return Reference(match.start(group), match.end(group), node.source_line, node.value)


def _unquoted(node: Any, text: str, start: int) -> Reference:
    match = _UNQUOTED.match(text, start)
    if match is None:
        raise CssFault(node.source_line, "url( that does not end")
    return Reference(match.start(1), match.end(1), node.source_line, node.value)
