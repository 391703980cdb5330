"""Text as the check sees it: what is written, with a sign for each computed part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

# A letter that no source has, for whatever is computed: inside a string it is one more
# character, and in JavaScript, where a template puts a value, it is a name.
HOLE = "\ua66e"
# The same for a value that is the webserver's own base URL, or a part of it.
BASE = "\ua66d"

# Attributes of a request that begin with the host which the last proxy asked for.
OF_THE_REQUEST = {"base_url", "url", "url_root", "host_url", "root_url"}
# Those that are no address by themselves, and begin one.
BEGINNING = {"scheme", "host", "script_root"}

# What browsers skip before an address.
_SKIPPED = "".join(map(chr, range(0x21)))
_HOST = re.compile(rf"(?i)(?:(?:https?|wss?|ftp):)?[/\\]{{2}}[\w\[{HOLE}]|(?:https?|wss?|ftp):[/\\\w]")
_JOINED = re.compile(rf"{HOLE}+/[\w.~%<-]")
_BELOW_BASE = re.compile(rf"(?:{BASE}(?::?//)?)+{HOLE}*/?(?![{HOLE}{BASE}])[\w.~%<-]")
_COMPUTED = re.compile(rf"(?:[{HOLE}{BASE}]+:?(?://(?=[{HOLE}{BASE}]))?)*")
_PERCENT = re.compile(r"%(?:\([^)]*\))?[#0 +-]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[diouxXeEfFgGcrsa]")


class Kind(Enum):
    """How a text names a place, if it does, or what else is wrong with it."""

    PATH = "a path from the root of the host"
    HOST = "an address with a host"
    JOINED = "a path joined to what is computed"
    BELOW = "a path joined to the base URL"
    REQUEST = "the host as this request came by it"
    ENDPOINT = "an endpoint"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class Written:
    """A text of one file that names a place; `file` is its path in the tree."""

    file: str
    line: int
    text: str
    kind: Kind
    advice: str = ""

    def __lt__(self, other: Written) -> bool:
        return (self.file, self.line, self.text) < (other.file, other.line, other.text)


def kind_of(text: str) -> Kind | None:
    """How a text that stands where an address is expected names its place."""
    text = text.lstrip(_SKIPPED)
    if _BELOW_BASE.match(text):
        return Kind.BELOW
    if _HOST.match(text):
        return Kind.HOST
    if text.startswith("/"):
        return Kind.PATH
    if _JOINED.match(text):
        return Kind.JOINED
    return None


def formatted(pattern: str) -> str:
    """The text that `pattern % values` makes."""
    return _PERCENT.sub(HOLE, pattern).replace("%%", "%")


def path_of(text: str) -> str:
    """The path that a text ends in, without what is computed before it, query and fragment."""
    path = re.split("[?#]", _COMPUTED.sub("", text.lstrip(_SKIPPED), count=1), maxsplit=1)[0]
    return path if path.startswith("/") else f"/{path}"


def shown(text: str) -> str:
    """A text as a message and an exception write it: `…` for what is computed."""
    return re.sub(f"[{HOLE}{BASE}]+", "…", text.strip(_SKIPPED))
