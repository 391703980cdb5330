"""The process behind warm.py: `python warm_server.py SOCKET MODULE…`, until it is told to end.

A connection is one piece of code. It sends two files, then a line of JSON; it gets back
the id of the process that runs the code, and, after its end, the exit code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
import types
from pathlib import Path
from typing import Any


def code_to_run(address: str) -> dict[str, Any]:
    """Serve for ever; it returns in each process that is made to run some code."""
    with socket.socket(socket.AF_UNIX) as listener:
        # Ready as soon as the name is there.
        listener.bind(f"{address}.new")
        listener.listen(64)
        Path(f"{address}.new").rename(address)
        # Nobody waits for the processes that serve one connection each.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            wire, _ = listener.accept()
            if os.fork() == 0:
                break
            wire.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(wire, 1, 2)
    with wire, wire.makefile("rw") as lines:
        request: dict[str, Any] = json.loads(lines.readline())
        pid = os.fork()
        if pid:
            lines.write(f"{pid}\n")
            lines.flush()
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            lines.write(f"{status}\n")
            lines.flush()
            os._exit(0)
    for place, file in enumerate(files, 1):
        os.dup2(file, place)
        os.close(file)
    return request


def surround(request: dict[str, Any]) -> None:
    """Be as a process that has just been started so."""
    environment: dict[str, str] = request["env"]
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(request["cwd"])
    added = list(filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)))
    sys.path[:0] = ["", *added]
    if packages := sys.modules.get("pkg_resources"):
        for path in added:
            packages.working_set.add_entry(path)
    sys.pycache_prefix = environment.get("PYTHONPYCACHEPREFIX")
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    sys.argv = ["-c", *request["arguments"]]


def run(code: str) -> None:
    """Run code as the main module."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    try:
        exec(compile(code, "<string>", "exec"), main.__dict__)
    except Exception as error:
        # The first entry is of this file.
        traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
        sys.exit(1)


if __name__ == "__main__":
    # The folder of this file.
    del sys.path[0]
    for name in sys.argv[2:]:
        importlib.import_module(name)
    assert threading.active_count() == 1, f"threads do not outlive a fork: {threading.enumerate()}"
    # What is there is not looked at again by each fork, which would copy it.
    gc.freeze()
    asked = code_to_run(sys.argv[1])
    surround(asked)
    run(asked["code"])
