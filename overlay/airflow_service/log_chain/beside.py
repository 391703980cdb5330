"""Work beside the thread that asks for it, where there is a thread to be had."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


def start(
    pool: ThreadPoolExecutor, work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs
) -> Future[_T]:
    """Have a pool do it; or do it now.

    A pool takes nothing any more when the interpreter goes down, which is when the log of a supervisor is
    finished that a signal or an exception ends; nor can it where the machine has no thread to give.
    """
    try:
        return pool.submit(work, *arguments, **named)
    except RuntimeError:
        done: Future[_T] = Future()
        done.set_result(work(*arguments, **named))
        return done
