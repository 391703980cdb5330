"""One process of the patched tree that runs one piece of code after the other: what they import is imported once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_process import PatchedAirflow

# Its answers go to the output that it was started with; whatever else is printed goes to the errors.
_LOOP = """
import json, os, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    told = []
    try:
        exec(json.loads(line), {"__name__": "asked", "told": told.append})
        answer = {"told": told[-1] if told else None}
    except BaseException:
        answer = {"failed": traceback.format_exc()}
    print(json.dumps(answer), file=answers, flush=True)
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A process that waits for code."""

    process: subprocess.Popen[str]

    def ask(self, code: str) -> Any:
        """Run code in a namespace of its own; returns what it `told(…)` last, and fails as it does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(code), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or '{"failed": "the process ended"}')
        if "failed" in answer:
            raise AssertionError(answer["failed"])
        return answer["told"]


@contextmanager
def conversation(airflow: PatchedAirflow, *options: str, **settings: str) -> Iterator[Conversation]:
    """A process with settings of its environment; its output goes to `conversation.log` in its home."""
    argv = [str(airflow.interpreter), *options, "-c", _LOOP]
    with (
        (airflow.home / "conversation.log").open("w") as log,
        subprocess.Popen(
            argv, env=airflow.environment(**settings), cwd=airflow.home, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        ) as process,
    ):  # fmt: skip
        try:
            yield Conversation(process)
        finally:
            process.kill()
