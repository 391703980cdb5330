"""What the check says: each fault with its place, its text, and what it should be."""

from __future__ import annotations

from collections.abc import Sequence

from builder.errors import HandWrittenUrl
from builder.url_check.exceptions import FILE_NAME, Exemption, uncovered, unused
from builder.url_check.texts import Kind, Written

_OTHERWISE = {
    Kind.PATH: "no route of the tree has this path",
    Kind.JOINED: "hand the whole URL over",
    Kind.BELOW: "let one function make URLs below the base URL",
    Kind.HOST: "name no host, or write down why it is named",
    Kind.REQUEST: "behind a proxy this host is not the browser's: use url_for, or the path alone",
}


def describe(written: Written) -> str:
    """One fault, in a line."""
    place = f"{written.file}:{written.line}: {written.text!r}"
    match written.kind:
        case Kind.UNREADABLE:
            return f"{place} {written.kind.value}" + (f": {written.advice}" if written.advice else "")
        case Kind.ENDPOINT:
            return f"{place} is no endpoint of the tree" + (
                f": its rule is {written.advice}" if written.advice else ""
            )
        case Kind.PATH | Kind.JOINED | Kind.BELOW if written.advice:
            return f"{place} is {written.kind.value}; it should be {written.advice}"
        case _:
            return f"{place} is {written.kind.value}: {_OTHERWISE[written.kind]}"


def judge(found: Sequence[Written], exemptions: Sequence[Exemption]) -> None:
    """Raise HandWrittenUrl with all that no exception covers, and with the exceptions that cover nothing."""
    faults = uncovered(exemptions, found)
    gone = unused(exemptions, found)
    if not faults and not gone:
        return
    lines = [describe(each) for each in sorted(faults)]
    lines += [f"{FILE_NAME}: {each.file} has no {each.text!r} any more" for each in gone]
    raise HandWrittenUrl(
        f"{len(lines)} URLs are written by hand, or have an exception for nothing",
        detail="\n".join(lines),
        cause="a new release, or a patch, writes a path that is another one below a prefix",
        next_step=f"use url_for; where a host is meant, say why in {FILE_NAME} (docs/patch-author.md)",
    )
