"""Run the stand-in as a process until SIGTERM: `python -m stand_in [--port N] [--token ACCOUNT=TOKEN]…`.

Prints its URL as the first line. `stand_in.control` has what it can be told while it runs.
"""

from __future__ import annotations

import argparse
import signal
import sys

from stand_in.commands import Plan
from stand_in.server import TOKEN, StandIn


def main(argv: list[str] | None = None) -> int:
    """Serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stand_in", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--token", action="append", default=[], metavar="ACCOUNT=TOKEN", help=f"default: main={TOKEN}"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a command takes (default: 1)")
    arguments = parser.parse_args(argv)
    pairs = [each.partition("=") for each in arguments.token]
    server = StandIn({token: account for account, _, token in pairs}, arguments.port)
    server.commands.default = Plan(seconds=arguments.seconds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(server.url, flush=True)
    try:
        server.serve_forever(0.1)
    except KeyboardInterrupt:
        return 0
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
