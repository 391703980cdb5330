"""Expected failures of the run-time code, and the exit codes they end with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

EXIT_DONE = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_PROBLEMS_FOUND = 3
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a supervisor can tell it from a crash, and not restart."""


class ServiceError(Exception):
    """An expected failure: what happened, its usual cause, and what to run next."""

    exit_code: ClassVar[int]


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong entry of a configuration section, told without its secrets."""

    section: str
    key: str
    given: str | None
    """The value as it may be shown; None where it says nothing or may be secret."""
    wrong: str
    """What is wrong with it, and what is allowed."""
    source: str
    """Where it was set: an environment variable or a file."""

    def __str__(self) -> str:
        value = "" if self.given is None else f" = {self.given}"
        return f"[{self.section}] {self.key}{value}  ({self.source})\n    {self.wrong}"


class WrongSettings(ServiceError):
    """Settings that nothing may be started with; `faults` holds all of them."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class BrokenInstallation(ServiceError):
    """Files of the installed package are missing or damaged, or are another version's."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"this installation is broken: {problem}\n"
            "usual cause: an installation that was interrupted, or files of two versions side by side\n"
            "next: install the wheel anew, with pip's --force-reinstall"
        )
