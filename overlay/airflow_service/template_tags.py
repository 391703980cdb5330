"""Attributes for the start tags of every template: Airflow's, Flask-Admin's and plugins'.

A page's tags are written in templates of three projects, and in those of plugins
that nobody here has seen. So they are changed where all of them pass: in the text
of a template, before Jinja compiles it. Rewriters look at each start tag and say
what is to be added to it, at its end or around an attribute's value; what they add
may hold Jinja's own `{{ … }}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

# In these, HTML knows no tags until the element's own end tag.
_RAW_TEXT = frozenset({"script", "style", "textarea", "title"})
_OPENERS = {"{{": "}}", "{%": "%}", "{#": "#}"}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_TEXT = re.compile(r"\{\{|\{%|\{#|<")
_TEXT_OPENER = re.compile(r"\{[{%#]")
_TAG_NAME = re.compile(r"<([A-Za-z][^\s/>{]*)")
_RAW_BLOCK = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_END_OF_BLOCK = re.compile(r"\{%[-+]?\s*(?:end|else|elif)")
# Browsers end a comment by these, too, and take `<!-->` for a whole one.
_END_COMMENT = re.compile(r"--!?>")
_EMPTY_COMMENT = re.compile(r"<!---?>")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Value:
    """An attribute's value, without its quotes, and the offset at which it begins."""

    attribute: str
    text: str
    begin: int


@dataclass(frozen=True, slots=True)
class StartTag:
    """A start tag as a template's author wrote it.

    `attributes` has the text of each value without its quotes, Jinja's `{{ … }}`
    included, by lower-case name; "" for an attribute without one. Of two with the
    same name the first counts, as in HTML; `values` has both, since Jinja may leave
    the first out. `end` is the offset at which more attributes can be inserted. `raw`
    is whether it stands in a raw block of Jinja's, where `{{` opens nothing, and is
    shown as `__`; there `values` is empty.
    """

    name: str
    attributes: dict[str, str]
    end: int
    raw: bool = False
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Additions:
    """What to insert in a tag: at its end, with a space before it, and before and after values.

    No newline: line numbers in Jinja's messages must stay those of the file.
    """

    at_end: str = ""
    around: Mapping[Value, tuple[str, str]] = field(default_factory=dict)


Rewriter = Callable[[StartTag], Additions]


class TemplateTags(Extension):
    """Runs the environment's `tag_rewriters` over each template."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.extend(tag_rewriters=[])

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """The template's text with what the rewriters add."""
        rewriters: list[Rewriter] = self.environment.tag_rewriters  # type: ignore[attr-defined]
        return rewrite(source, rewriters)


def add_rewriter(environment: Any, rewriter: Rewriter) -> None:
    """Have `rewriter` look at each start tag of templates that are compiled from now on."""
    if TemplateTags.identifier not in environment.extensions:
        environment.add_extension(TemplateTags)
    environment.tag_rewriters.append(rewriter)


def rewrite(source: str, rewriters: list[Rewriter]) -> str:
    """`source` with what each of `rewriters` adds to its start tags."""
    parts: list[str] = []
    done = 0
    for tag in start_tags(source):
        additions = [rewriter(tag) for rewriter in rewriters]
        for place, text in [*_around_values(additions), (tag.end, _at_end(tag, additions))]:
            parts += [source[done:place], text]
            done = place
    return "".join([*parts, source[done:]])


def _around_values(additions: list[Additions]) -> list[tuple[int, str]]:
    """Offsets and what is inserted there, in order."""
    found: list[tuple[int, str]] = []
    for added in additions:
        for value, (before, after) in added.around.items():
            found += [(value.begin, before), (value.begin + len(value.text), after)]
    return sorted(found, key=lambda insertion: insertion[0])


def _at_end(tag: StartTag, additions: list[Additions]) -> str:
    text = "".join(added.at_end for added in additions)
    return f"{{% endraw %}}{text}{{% raw %}}" if tag.raw and text else text


def start_tags(source: str) -> Iterator[StartTag]:
    """The start tags of a template, in order.

    Comments of HTML and of Jinja, and the contents of scripts and styles hold none.
    What breaks off at the end of the text, or of a raw block, is no tag.
    """
    place = 0
    while found := _TEXT.search(source, place):
        place = found.start()
        if found[0] != "<":
            yield from _raw_tags(source, place)
            place = _after_jinja(source, place)
        elif source.startswith("<!--", place):
            place = _after_comment(source, place)
        elif not (opening := _TAG_NAME.match(source, place)):
            place += 1
        else:
            name = opening[1].lower()
            tag, place = _read_tag(source, name, opening.end())
            if tag is not None:
                yield tag
                if name in _RAW_TEXT and not source.endswith("/>", 0, place):
                    place = _after_raw_text(source, name, place)


def _raw_tags(source: str, place: int) -> Iterator[StartTag]:
    """The start tags of the raw block that begins at `place`, if one does."""
    opening = _RAW_BLOCK.match(source, place)
    closing = _END_RAW.search(source, opening.end()) if opening else None
    if opening and closing:
        plain = _TEXT_OPENER.sub("__", source[opening.end() : closing.start()])
        yield from (replace(tag, end=tag.end + opening.end(), raw=True, values=()) for tag in start_tags(plain))


def _read_tag(source: str, name: str, place: int) -> tuple[StartTag | None, int]:
    """The tag whose name ends at `place`, and the offset after it."""
    attributes: dict[str, str] = {}
    values: list[Value] = []
    while place < len(source):
        character = source[place]
        if character == ">" or source.startswith("/>", place):
            closed = place + (1 if character == ">" else 2)
            end = _before_spaces(source, place)
            return StartTag(name, attributes, end, values=tuple(values)), closed
        if source[place : place + 2] in _OPENERS:
            place = _after_jinja(source, place)
        elif character.isspace() or character == "/":
            place += 1
        else:
            # A "=" in the place of a name begins the name.
            start = place
            _, place = _scan(source, start + (character == "="), lambda at: _ends_name(source[at]))
            value, place = _read_value(source, source[start:place].lower(), place)
            attributes.setdefault(value.attribute, value.text)
            values.append(value)
    return None, len(source)


def _ends_name(character: str) -> bool:
    return character in "=/>" or character.isspace()


def _read_value(source: str, name: str, place: int) -> tuple[Value, int]:
    """The value of the attribute `name`, which ends at `place`, and the offset after it."""
    after = _after_spaces(source, place)
    if after >= len(source) or source[after] != "=":
        return Value(name, "", place), place
    start = _after_spaces(source, after + 1)
    quote = source[start : start + 1]
    if quote in ("'", '"') and quote:
        text, end = _scan(source, start + 1, lambda at: source[at] == quote)
        return Value(name, text, start + 1), min(end + 1, len(source))
    text, end = _scan(source, start, lambda at: _ends_plain_value(source, start, at))
    return Value(name, text, start), end


def _ends_plain_value(source: str, start: int, place: int) -> bool:
    """Whether one without quotes that begins at `start` ends here: also where a statement around it does."""
    if source[place] == ">" or source[place].isspace():
        return True
    return bool(_END_OF_BLOCK.match(source, place)) and "{%" not in source[start:place]


def _scan(source: str, start: int, is_end: Callable[[int], bool]) -> tuple[str, int]:
    """The text from `start` to where `is_end` holds outside of Jinja's delimiters."""
    place = start
    while place < len(source) and not is_end(place):
        place = _after_jinja(source, place) if source[place : place + 2] in _OPENERS else place + 1
    return source[start:place], place


def _after_jinja(source: str, place: int) -> int:
    """The offset after the expression, statement, comment or raw block that begins at `place`."""
    if raw := _RAW_BLOCK.match(source, place):
        end = _END_RAW.search(source, raw.end())
        return end.end() if end else len(source)
    opener = source[place : place + 2]
    if opener == "{#":
        return _after(source, "#}", place + 2)
    return _after_expression(source, _OPENERS[opener], place + 2)


def _after_expression(source: str, closer: str, place: int) -> int:
    """As Jinja reads it: a closer in a string or in brackets does not close."""
    awaited: list[str] = []
    while place < len(source):
        character = source[place]
        if not awaited and source.startswith(closer, place):
            return place + 2
        if text := _STRING.match(source, place):
            place = text.end()
            continue
        if character in _BRACKETS:
            awaited.append(_BRACKETS[character])
        elif awaited and character == awaited[-1]:
            awaited.pop()
        place += 1
    return len(source)


def _after_raw_text(source: str, name: str, place: int) -> int:
    """Where an element's contents end: Jinja's strings and comments may name its end tag, too."""
    end = re.compile(rf"</{name}(?=[\s/>])|\{{\{{|\{{%|\{{#", re.IGNORECASE)
    while found := end.search(source, place):
        if found[0].startswith("</"):
            return found.start()
        place = _after_jinja(source, found.start())
    return len(source)


def _after_comment(source: str, place: int) -> int:
    end = _EMPTY_COMMENT.match(source, place) or _END_COMMENT.search(source, place + 4)
    return end.end() if end else len(source)


def _after(source: str, mark: str, place: int) -> int:
    found = source.find(mark, place)
    return len(source) if found < 0 else found + len(mark)


def _after_spaces(source: str, place: int) -> int:
    while place < len(source) and source[place].isspace():
        place += 1
    return place


def _before_spaces(source: str, place: int) -> int:
    while source[place - 1].isspace():
        place -= 1
    return place
