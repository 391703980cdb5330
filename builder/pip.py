"""How the user's own pip is set up: which package indexes to ask, and how."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass

from builder.errors import IndexFailure


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Which index to ask: what `pip config` says, in pip's own order."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    certificates: str | None = None
    proxy: str | None = None
    # Only what find_links has, and no index at all.
    no_index: bool = False
    # Seconds without a byte before a try is given up.
    timeout: float = 15.0

    @property
    def index_urls(self) -> list[str]:
        """The main index first; none with `no_index`."""
        return [] if self.no_index else [self.index_url or _default_index(), *self.extra_index_urls]


def _default_index() -> str:
    """The index of a pip that is set up for none; as the library knows it, so that no host stands here."""
    # Slow to import, and seldom asked for.
    from unearth import PackageFinder

    return PackageFinder().sources[0]["url"]


# The parts of pip's configuration that `pip download` reads, and install's, since a
# mirror is often set up for that alone. A later one wins. pip itself lists them in
# no such order, and in another one from version to version.
_SECTIONS = ("global", "install", "download", ":env:")


def pip_settings() -> IndexSettings:
    """Ask the user's pip how it is set up, so that a mirror needs no second configuration."""
    sections: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in _pip_configuration().splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections:
            sections[section][key.removeprefix("default-")] = str(ast.literal_eval(value))
    values: dict[str, str] = {}
    for section in _SECTIONS:
        values |= sections[section]
    timeout = values.get("timeout", "15")
    if not timeout.replace(".", "", 1).isdecimal():
        raise IndexFailure(f"pip's timeout is {timeout!r}, which is no number of seconds")
    return IndexSettings(
        index_url=values.get("index-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        certificates=values.get("cert"),
        proxy=values.get("proxy"),
        no_index=values.get("no-index", "").lower() in ("1", "y", "yes", "t", "true", "on"),
        timeout=float(timeout),
    )


def _pip_configuration() -> str:
    """What `pip config list` prints."""
    # Set by builder.bootstrap: the build's own environment has a pip too, but that one
    # does not know of a configuration file beside the user's Python.
    interpreters = dict.fromkeys([os.environ.get("BUILD_BASE_PYTHON", sys.executable), sys.executable])
    for interpreter in interpreters:
        command = [interpreter, "-m", "pip", "config", "list"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    raise IndexFailure(
        "pip cannot say how it is set up",
        detail=done.stderr,
        cause="a mistake in one of pip's configuration files",
        next_step="mend it; `pip config debug` lists the files",
    )
