"""URLs that JavaScript writes by hand, found in the syntax tree that tree-sitter makes.

There are no paths of files in a page's script, so every text that begins with `/`
counts, and not only one that is passed on as an address.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser, Tree

from builder.url_check.routes import Routes
from builder.url_check.texts import BASE, HOLE, Kind, Written, shown

_PARSER = Parser(Language(tree_sitter_javascript.language()))
_TEXTS = {"string", "template_string"}
# Names of XML vocabularies, which nobody asks for.
_VOCABULARY = re.compile(r"https?://www\.w3\.org/(?:\d{4}|XML)/[\w/-]+$")
_PATH = re.compile(r"/[\w.~%<@:-]")
_HOST = re.compile(
    rf"(?i)(?:https?|wss?|ftp):[/\\]*[\w\[{HOLE}]|//[\w-]+(?:\.[\w-]+|:\d)+|//{HOLE}|//localhost"
)
# What every URL of the page's own webserver begins with, whole or in parts.
_ORIGIN = re.compile(r"(?:(?:window|document|self|top|parent)\.)*location\.(?:origin|protocol|host|hostname)")
_ADDRESSED = {"href", "src", "location", "action"}
_CALLED = {
    "fetch", "open", "assign", "replace", "get", "post", "getJSON", "ajax", "json", "load", "importScripts",
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]+)\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(\r\n|[\s\S]))")


def read_javascript(text: str, file: str, lines: Callable[[int], int], routes: Routes) -> list[Written]:
    """What is written by hand in a script; `lines` tells the line of an offset."""
    content = text.encode("utf-8", "replace")
    offset_of = _offsets(content)
    tree, shift = _parse(content)
    if tree.root_node.has_error:
        broken = _first_error(tree.root_node)
        offset = offset_of(max(broken.start_byte - shift, 0))
        said = " ".join(text[offset : offset + 40].split()).replace(HOLE, "…")
        return [Written(file, lines(offset), said, Kind.UNREADABLE, "no JavaScript that can be parsed")]
    found = []
    for node in _texts(tree.root_node):
        value = _value(node)
        line = lines(offset_of(node.start_byte - shift))
        found += _judge(value, _is_addressed(node), file, line, routes)
    return found


def _offsets(content: bytes) -> Callable[[int], int]:
    """Tells the offset in the text of one in its UTF-8: all bytes count but those that continue a letter."""
    continuing = (
        [] if content.isascii() else [place for place, byte in enumerate(content) if byte & 0xC0 == 0x80]
    )
    return lambda place: place - bisect_left(continuing, place)


def _parse(content: bytes) -> tuple[Tree, int]:
    """The tree of a script, and how many bytes were set before it to make it one.

    The value of a handler may `return`, as only a function's body can; JSON is a value.
    """
    as_program = _PARSER.parse(content)
    if not as_program.root_node.has_error:
        return as_program, 0
    for before, after in ((b"function _(){", b"\n}"), (b"(", b"\n)")):
        tree = _PARSER.parse(before + content + after)
        if not tree.root_node.has_error:
            return tree, len(before)
    return as_program, 0


def _first_error(root: Node) -> Node:
    node = root
    while True:
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inner is None:
            return node
        node = inner


def _texts(root: Node) -> Iterator[Node]:
    """Every text that is no part of a longer one."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        parts = _operands(node)
        if any(part.type in _TEXTS for part in parts):
            yield node
            # What is computed inside may hold texts of its own.
            for part in parts:
                if part.type == "template_string":
                    waiting += [child for child in part.children if child.type == "template_substitution"]
                elif part.type != "string":
                    waiting.append(part)
        else:
            waiting += node.children


def _operands(node: Node) -> list[Node]:
    """What a sum adds up, in order; a node that is no sum by itself. A sum may be thousands long."""
    found = []
    while node.type == "binary_expression":
        operator, left, right = (node.child_by_field_name(name) for name in ("operator", "left", "right"))
        if operator is None or operator.type != "+" or left is None or right is None:
            break
        found.append(right)
        node = left
    return [*found, node][::-1]


def _value(node: Node) -> str:
    return "".join(_part(part) for part in _operands(node))


def _part(node: Node) -> str:
    if node.type not in _TEXTS:
        return BASE if _is_origin(node) else HOLE
    parts = []
    for child in node.children:
        written = (child.text or b"").decode("utf-8", "replace")
        if child.type == "string_fragment":
            parts.append(written)
        elif child.type == "escape_sequence":
            parts.append(_ESCAPE.sub(_unescaped, written))
        elif child.type == "template_substitution":
            parts.append(BASE if any(map(_is_origin, child.named_children)) else HOLE)
    return "".join(parts)


def _is_origin(node: Node) -> bool:
    written = (node.text or b"").decode("utf-8", "replace")
    return node.type == "member_expression" and _ORIGIN.fullmatch("".join(written.split())) is not None


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        return chr(min(int(code, 16), 0x10FFFF))
    return "" if match[4] in ("\n", "\r\n") else _ESCAPES.get(match[4], match[4])


def _is_addressed(node: Node) -> bool:
    """Whether a text is assigned to a place's name, or the first argument of what asks for it."""
    parent = node.parent
    if parent is None:
        return False
    if parent.type == "assignment_expression":
        return _name(parent.child_by_field_name("left")) in _ADDRESSED
    if parent.type == "arguments" and parent.parent is not None:
        called = _name(parent.parent.child_by_field_name("function"))
        return called in _CALLED and parent.named_children[:1] == [node]
    return False


def _name(node: Node | None) -> str:
    """`c` of `a.b.c`."""
    written = b"" if node is None else node.text or b""
    return written.decode("utf-8", "replace").rpartition(".")[2]


def _judge(text: str, addressed: bool, file: str, line: int, routes: Routes) -> list[Written]:
    # HTML holds scripts, and scripts hold HTML: one of the two has to come later.
    from builder.url_check.html import looks_like_html, read_html

    if looks_like_html(text):
        return read_html(text, file, lambda offset: line, routes)
    kind = routes.kind_of(text)
    trimmed = text.strip()
    if not addressed:
        if re.search(r"\s", trimmed) or _VOCABULARY.match(trimmed):
            return []
        if kind is Kind.PATH and not _PATH.match(trimmed):
            kind = None
        if kind is Kind.HOST and not _HOST.match(trimmed):
            kind = None
    return [] if kind is None else [Written(file, line, shown(text), kind, routes.url_for(text))]
