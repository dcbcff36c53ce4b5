"""Coroutines: the names of the standard `asyncio`, on tress's event loop.

The loop is tress's, and `run`, `Runner`, `new_event_loop` and `get_event_loop` make one. What else
there is comes from the standard library and runs on it: see docs/coverage.md for each name.
"""

from __future__ import annotations

import asyncio as _std
from asyncio import *  # noqa: F403

# First of all: what it keeps may be replaced.
from tress.asyncio import _standard as _standard
from tress.asyncio._event_loop import EventLoop
from tress.asyncio._running import Runner, get_event_loop, new_event_loop, run

TYPE_CHECKING = False
if not TYPE_CHECKING:  # the types are the standard library's
    from tress._native import create_task, gather
    from tress.asyncio._locks import BoundedSemaphore, Event, Lock, Semaphore
    from tress.asyncio._queues import LifoQueue, PriorityQueue, Queue, QueueShutDown
    from tress.asyncio._sleep import sleep
    from tress.asyncio._streams import (
        StreamReader,
        StreamReaderProtocol,
        StreamWriter,
        open_connection,
        open_unix_connection,
        start_server,
        start_unix_server,
    )
    from tress.asyncio._task_group import TaskGroup
    from tress.asyncio._timeouts import Timeout, timeout, timeout_at, wait_for

__all__ = [
    "BoundedSemaphore",
    "Event",
    "EventLoop",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "QueueShutDown",
    "Runner",
    "SelectorEventLoop",
    "Semaphore",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "TaskGroup",
    "Timeout",
    "create_task",
    "gather",
    "get_event_loop",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "sleep",
    "start_server",
    "start_unix_server",
    "timeout",
    "timeout_at",
    "wait_for",
]
__all__ += [name for name in _std.__all__ if name not in __all__]

SelectorEventLoop = EventLoop  # type: ignore[misc, assignment]


def __getattr__(name: str) -> object:
    # Submodules above all.
    value: object = getattr(_std, name)
    return value
