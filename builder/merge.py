"""Several style sheets or scripts as one file, which costs a page one request.

Of the style sheets, what can never show is left out: a declaration that a later rule
with the same selectors makes again. Upstream's pages load two whole bootstraps, of
which the second says most of the first once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tinycss2
from tinycss2.ast import WhitespaceToken

from builder.css import CssFault

# What some browsers refuse, and then go by what they read before.
_PREFIXED = re.compile(r"(?i)(?<![\w-])-(?:webkit|moz|ms|o|khtml)-|progid:|\\")
# Those of which a bare number may be a value. Of others a browser refuses it, as `perspective: 1000`.
_OF_NUMBERS = {
    "flex", "flex-grow", "flex-shrink", "font-weight", "line-height", "opacity", "order", "orphans", "widows",
    "z-index", "zoom", "fill-opacity", "stroke-opacity", "stroke-width",
}  # fmt: skip
_BARE_NUMBER = re.compile(r"[+-]?(?:\d*\.)?\d+")
_PREFIXED_SELECTOR = re.compile(r"(?i)::?-")
# At-rules that say nothing of what stands around them.
_SEPARATE = {"font-face", "keyframes", "-webkit-keyframes", "-o-keyframes", "-ms-viewport", "page"}


@dataclass(frozen=True, slots=True)
class _Declaration:
    name: str
    value: str
    important: bool

    def __str__(self) -> str:
        return f"{self.name}:{self.value}{'!important' if self.important else ''}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule with its selectors; `media` is the condition that it is under, or ""."""

    media: str
    selectors: tuple[str, ...]
    declarations: tuple[_Declaration, ...]

    def __str__(self) -> str:
        return f"{','.join(self.selectors)}{{{';'.join(map(str, self.declarations))}}}"


def merge_scripts(texts: Iterable[str]) -> str:
    """The scripts one after the other; each may end without a semicolon, or in a comment."""
    return "".join(f"{text.rstrip()}\n;\n" for text in texts)


def merge_sheets(texts: Iterable[str]) -> str:
    """One style sheet that shows every page as the given ones do, in their order.

    Raises CssFault for what cannot be merged: `@import` and what is not known here.
    """
    notices: list[str] = []
    parts: list[_Rule | str] = []
    for text in texts:
        nodes = tinycss2.parse_stylesheet(text, skip_whitespace=True)
        notices += [f"/*{node.value}*/" for node in nodes if node.type == "comment" and node.value[:1] == "!"]
        parts += [part for node in nodes if node.type != "comment" for part in _parts(node)]
    return "\n".join([*notices, *_written(_without_dead(parts))]) + "\n"


def _parts(node: Any, media: str = "") -> list[_Rule | str]:
    if node.type == "qualified-rule":
        return [_rule(node, media)]
    if node.type == "at-rule" and not media and node.content is not None:
        if node.lower_at_keyword == "media":
            inner = tinycss2.parse_rule_list(node.content, skip_comments=True, skip_whitespace=True)
            return [part for one in inner for part in _parts(one, _plain(node.prelude, ","))]
        if node.lower_at_keyword in _SEPARATE:
            return [tinycss2.serialize([node])]
    if node.type == "at-rule" and node.lower_at_keyword == "charset":
        return []  # the bundle's style sheets are UTF-8
    what = node.message if node.type == "error" else f"@{node.at_keyword}"
    raise CssFault(node.source_line, f"cannot be merged: {what}")


def _rule(node: Any, media: str) -> _Rule:
    selectors: list[list[Any]] = [[]]
    for token in node.prelude:
        if token == ",":
            selectors.append([])
        else:
            selectors[-1].append(token)
    content = tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
    if wrong := next((one for one in content if one.type not in ("declaration", "error")), None):
        raise CssFault(wrong.source_line, "cannot be merged: a rule in a rule")
    # What is no declaration is passed over by browsers, too.
    declarations = (
        _Declaration(_name(one), _plain(one.value, ","), bool(one.important))
        for one in content
        if one.type == "declaration"
    )
    return _Rule(media, tuple(_plain(one, ">+~,") for one in selectors), tuple(declarations))


def _name(declaration: Any) -> str:
    """The property; those that an author makes up differ by case."""
    return str(declaration.name if declaration.name.startswith("--") else declaration.lower_name)


def _plain(tokens: Sequence[Any], separators: str) -> str:
    """The tokens' text in one spelling: no comments, single spaces, none beside `separators`."""
    plain: list[Any] = []
    for token in tokens:
        if token.type == "whitespace":
            if plain and plain[-1].type != "whitespace" and not _separates(plain[-1], separators):
                plain.append(WhitespaceToken(token.source_line, token.source_column, " "))
        elif token.type != "comment":
            if _separates(token, separators) and plain and plain[-1].type == "whitespace":
                plain.pop()
            plain.append(token)
    return str(tinycss2.serialize(plain)).rstrip(" ")


def _separates(token: Any, separators: str) -> bool:
    return token.type == "literal" and token.value in separators


def _without_dead(parts: Sequence[_Rule | str]) -> list[_Rule | str]:
    """The parts without the declarations that a later one beats wherever they hold.

    That one has the same selector, so the same specificity, and holds at least where
    they do. It is no weaker, and no browser refuses it.
    """
    later: set[tuple[str, str, str, bool]] = set()

    def beaten(rule: _Rule, one: _Declaration) -> bool:
        stronger = (True,) if one.important else (True, False)
        return all(
            any(
                (media, selector, one.name, weight) in later
                for media in {rule.media, ""}
                for weight in stronger
            )
            for selector in rule.selectors
        )

    kept: list[_Rule | str] = []
    for part in reversed(parts):
        if isinstance(part, str):
            kept.append(part)
            continue
        live = tuple(one for one in part.declarations if not beaten(part, one))
        if live:
            kept.append(_Rule(part.media, part.selectors, live))
        if not any(map(_PREFIXED_SELECTOR.search, part.selectors)):
            later |= {
                (part.media, selector, one.name, one.important)
                for one in part.declarations
                if not _may_be_refused(one)
                for selector in part.selectors
            }
    return kept[::-1]


def _may_be_refused(one: _Declaration) -> bool:
    """Whether some browser may not know the value, or none does."""
    if _PREFIXED.search(one.value):
        return True
    bare = _BARE_NUMBER.fullmatch(one.value)
    return bool(bare) and one.value.strip("+-0.") != "" and one.name not in _OF_NUMBERS


def _written(parts: Sequence[_Rule | str]) -> list[str]:
    """The lines of a style sheet; neighbours under one condition share it."""
    lines: list[str] = []
    media = ""
    for part in parts:
        condition = part.media if isinstance(part, _Rule) else ""
        if condition != media:
            lines += ["}"] * bool(media) + [f"@media {condition}{{"] * bool(condition)
            media = condition
        lines.append(str(part))
    return [*lines, "}"] if media else lines
