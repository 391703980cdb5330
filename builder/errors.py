"""Expected failures: one base class, one exit code for each kind.

Whatever is not one of these is a bug and keeps its traceback (exit code 1).
The codes are part of the command line's contract: docs/commands.md lists them,
and a test keeps the list and this module in agreement.
"""

from __future__ import annotations

from typing import ClassVar


class BuildError(Exception):
    """An expected failure: what happened, its usual cause, and what to run next.

    `detail` holds evidence (a reject, a list of faults) that is printed as it is.
    """

    exit_code: ClassVar[int]

    def __init__(self, happened: str, *, cause: str = "", next_step: str = "", detail: str = "") -> None:
        super().__init__(happened)
        self.happened = happened
        self.cause = cause
        self.next_step = next_step
        self.detail = detail.rstrip()

    def render(self) -> str:
        """The whole message, a part a line."""
        lines = [f"error: {self.happened}"]
        if self.detail:
            lines += [f"    {line}" for line in self.detail.splitlines()]
        if self.cause:
            lines.append(f"usual cause: {self.cause}")
        if self.next_step:
            lines.append(f"next: {self.next_step}")
        return "\n".join(lines)


class UnknownRelease(BuildError):
    """No directory below patches/ has the release that was asked for."""

    exit_code = 10


class InvalidRelease(BuildError):
    """An upstream.toml or series file is malformed."""

    exit_code = 11


class IndexFailure(BuildError):
    """The package index is unreachable, too slow, or lacks the file."""

    exit_code = 12


class HashMismatch(BuildError):
    """A download's size or sha256 differs from the pin."""

    exit_code = 13


class UnsafeArchive(BuildError):
    """An archive is damaged or holds a member that must not be unpacked."""

    exit_code = 14


class InvalidSeries(BuildError):
    """A patch's header, name, or place in the series is wrong."""

    exit_code = 15


class PatchConflict(BuildError):
    """A patch does not apply, or not exactly where it says."""

    exit_code = 16


class InvalidOverlay(BuildError):
    """The overlay shadows an upstream path, or holds what it must not."""

    exit_code = 17


class MissingHook(BuildError):
    """A name that a hook reaches for is gone."""

    exit_code = 18


class WheelError(BuildError):
    """The wheel could not be built, or is not what it should be."""

    exit_code = 19


class AssetError(BuildError):
    """A static file, a rule, or a reference between assets is wrong."""

    exit_code = 20


class LockError(BuildError):
    """The dependency lock is missing, out of date, or cannot be resolved."""

    exit_code = 21


class StorageFailure(BuildError):
    """A full disk, or a file or folder that cannot be written."""

    exit_code = 22


class UnsavedWork(BuildError):
    """The patched tree holds work that the series does not."""

    exit_code = 23


class UnsuitablePython(BuildError):
    """This Python is too old, as builder/__init__.py says itself, or one that is needed is missing."""

    exit_code = 24


class MissingTool(BuildError):
    """A program that the build calls is not installed."""

    exit_code = 25


class CheckFailed(BuildError):
    """`check` found something that is not as it should be."""

    exit_code = 26


class HandWrittenUrl(BuildError):
    """A URL of the webserver is written by hand, or an exception from that covers nothing."""

    exit_code = 27


class InvalidDist(BuildError):
    """What dist/ holds is missing, not whole, or not what its sums say."""

    exit_code = 30


class NoCredentials(BuildError):
    """No credentials for the S3 store were found, or they cannot be used."""

    exit_code = 31


class StoreDenied(BuildError):
    """The S3 store refuses who asks, or what is asked for one key."""

    exit_code = 32


class NoSuchPlace(BuildError):
    """The bucket does not exist, or is in another region."""

    exit_code = 33


class StoreUnavailable(BuildError):
    """The S3 store or the CDN is out of reach, too slow, or fails again and again."""

    exit_code = 34


class StoreFull(BuildError):
    """The S3 store has no room left."""

    exit_code = 35


class StoreConflict(BuildError):
    """The S3 store holds something else under a name that is ours."""

    exit_code = 36


class StoreBusy(BuildError):
    """A publish and a prune would get into each other's way, or somebody else deletes meanwhile."""

    exit_code = 37


class CdnFault(BuildError):
    """The CDN does not serve what was published, or not as browsers need it."""

    exit_code = 38


class InvalidPlace(BuildError):
    """What was given as a place in a store, an endpoint or a CDN is not one."""

    exit_code = 39


INTERRUPTED = 130
USAGE = 2
UNEXPECTED = 1
