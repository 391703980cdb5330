"""What a check yields, and the report made of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from airflow_service.errors import EXIT_DONE, EXIT_PROBLEMS_FOUND, EXIT_UNEXPECTED
from airflow_service.sources import Configuration, UnreadableValue


class Severity(StrEnum):
    """How bad it is; the order is the order of display."""

    ERROR = "error"
    """Something does not work, or is open to attack."""
    WARNING = "warning"
    """It works, and will cause trouble."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is configured, or was found."""

    group: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, why that usually is, and what to do next."""

    check: str
    severity: Severity
    problem: str
    cause: str
    next: str


Check = Callable[[Configuration], Iterator[Fact | Finding]]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, the worst first."""

    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    crashed: bool

    def exit_code(self, *, strict: bool) -> int:
        """With `strict`, warnings count as problems."""
        if self.crashed:
            return EXIT_UNEXPECTED
        wrong = any(strict or finding.severity is Severity.ERROR for finding in self.findings)
        return EXIT_PROBLEMS_FOUND if wrong else EXIT_DONE

    def as_json(self, *, strict: bool) -> dict[str, Any]:
        """The report for a program; `format` changes when the shape does."""
        configured: dict[str, dict[str, str]] = {}
        for fact in self.facts:
            configured.setdefault(fact.group, {})[fact.name] = fact.value
        return {
            "format": 1,
            "exit_code": self.exit_code(strict=strict),
            "configured": configured,
            "problems": [asdict(finding) for finding in self.findings],
        }


def examine(configuration: Configuration, checks: Sequence[Check]) -> Report:
    """Run the checks one after the other; one that crashes does not stop the rest."""
    facts: list[Fact] = []
    findings: list[Finding] = []
    crashed = False
    for check in checks:
        try:
            for one in check(configuration):
                facts.append(one) if isinstance(one, Fact) else findings.append(one)
        except UnreadableValue as error:
            findings.append(_unreadable(error))
        except Exception as error:
            crashed = True
            findings.append(_crash(check, error))
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return Report(tuple(facts), tuple(dict.fromkeys(findings)), crashed)


def _unreadable(error: UnreadableValue) -> Finding:
    # No check's name: several may want the same value, and it is told once.
    return Finding(
        check="configuration",
        severity=Severity.ERROR,
        problem=f"A setting cannot be read: {error}.",
        cause="What depends on it was not checked.",
        next="Correct it there; for the secrets backend, airflow checkdb tries the database.",
    )


def _crash(check: Check, error: Exception) -> Finding:
    # The type and the place only: the message may quote a setting with a password.
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Finding(
        check=check.__name__,
        severity=Severity.ERROR,
        problem=f"The check {check.__name__} itself failed: {type(error).__name__}.",
        cause=f"A mistake in airflow-service ({place.filename}, line {place.lineno}).",
        next="Report it with this output; the other checks were done.",
    )
