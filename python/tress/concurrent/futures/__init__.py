"""Calls made elsewhere: the names of the standard `concurrent.futures`, on tress's engine.

Future, ThreadPoolExecutor, ProcessPoolExecutor, wait and as_completed are tress's; exceptions,
constants and the executor of interpreters are the standard library's own objects.
"""

from __future__ import annotations

import concurrent.futures as _std
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    InvalidStateError,
    TimeoutError,  # noqa: A004 - the standard module's name
)

from tress.concurrent.futures._base import Future, as_completed, wait
from tress.concurrent.futures.thread import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "wait",
]
if "InterpreterPoolExecutor" in _std.__all__:
    __all__ += ["InterpreterPoolExecutor"]


def __getattr__(name: str) -> Any:
    # The executors of processes and of interpreters are imported when they are asked for, as in
    # the standard module.
    if name == "ProcessPoolExecutor":
        from tress.concurrent.futures.process import ProcessPoolExecutor

        return ProcessPoolExecutor
    if name == "InterpreterPoolExecutor":
        return getattr(_std, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__author__", "__doc__"]
