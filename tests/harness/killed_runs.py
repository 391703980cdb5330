"""Runs of ship-logs that are killed: `python -m harness.killed_runs FOLDER URL BUCKET`, then one line for each run.

A line of standard input is a number of seconds, after which the run is killed, or `whole`. Each run is a fork of
this process, in which all is imported: hundreds take no longer than one that is started anew.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from harness.log_node import Node
from harness.log_store import store_on


def main(folder: str, url: str, bucket: str) -> None:
    store = store_on(url, bucket, Path(folder), "writer")
    # What takes long is done once, here; connections are each run's own.
    store.connect()
    node = Node(Path(folder), store)
    for line in sys.stdin:
        print(_run(node, line.strip()), flush=True)


def _run(node: Node, until: str) -> str:
    child = os.fork()
    if child == 0:
        try:
            outcome = node.ship()
            (node.folder / "problems").write_text("\n".join(outcome.problems))
        finally:
            os._exit(0)
    if until != "whole":
        time.sleep(float(until))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else "done"


if __name__ == "__main__":
    main(*sys.argv[1:])
