"""An outside platform for the demo: the stand-in, in a thread of the demo's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from stand_in import Plan, serving
from stand_in.server import TOKEN

# Seconds: long enough to be seen running.
_SECONDS = 2.0


@contextmanager
def stand_in() -> Iterator[str]:
    """Run it; gives its URL."""
    with serving({TOKEN: "demo"}) as platform:
        platform.commands.default = Plan(seconds=_SECONDS, log="counted the rows\n")
        yield platform.url


def connection(url: str) -> str:
    """The connection to it as Airflow takes one from the environment."""
    return f"qubole://:{quote(TOKEN, '')}@{quote(f'{url}/api', '')}"
