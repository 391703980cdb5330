"""The report as text for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from airflow_service.doctor.findings import Report, Severity

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33"}
_BOLD, _GREEN = "1", "32"


def as_text(report: Report, *, colour: bool) -> str:
    """What is configured, then what is wrong, the worst first."""
    return "\n".join([*_configured(report, colour), "", *_problems(report, colour)])


def _configured(report: Report, colour: bool) -> Iterator[str]:
    width = max((len(fact.name) for fact in report.facts), default=0)
    groups = list(dict.fromkeys(fact.group for fact in report.facts))
    ordered = sorted(report.facts, key=lambda fact: groups.index(fact.group))
    for group, facts in groupby(ordered, key=lambda fact: fact.group):
        yield _paint(group, _BOLD, colour)
        for fact in facts:
            yield f"  {fact.name:{width}}  {fact.value}"


def _problems(report: Report, colour: bool) -> Iterator[str]:
    if not report.findings:
        yield _paint("Nothing is wrong.", _GREEN, colour)
        return
    for finding in report.findings:
        yield f"{_paint(finding.severity.value, _COLOURS[finding.severity], colour)}: {finding.problem}"
        yield f"    cause: {finding.cause}"
        yield f"    next:  {finding.next}"
    yield ""
    counts = Counter(finding.severity.value for finding in report.findings)
    yield ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items())


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
