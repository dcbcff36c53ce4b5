"""The open queue: what a `tress.queue` queue does once somebody reaches into it.

A queue whose `mutex`, conditions or `queue` were asked for, or whose class overrides one of the
hooks `_init`, `_qsize`, `_put` and `_get`, works as the standard library describes it: every
operation holds `mutex`, keeps its items by the hooks, and notifies the conditions. Each function
here is one method of such a queue; the native class calls it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from queue import Empty, Full
from time import monotonic

from tress import _native
from tress.threading import Condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tress.queue import Queue

if sys.version_info >= (3, 13):
    from queue import ShutDown
else:

    class ShutDown(Exception):
        """Raised by `put` and `get` of a queue that is shut down."""

    ShutDown.__module__ = "tress.queue"
    ShutDown.__qualname__ = "ShutDown"


def make_parts() -> tuple[Any, Condition, Condition, Condition]:
    """The mutex, held, and the conditions not_empty, not_full and all_tasks_done around it."""
    mutex = _native.allocate_lock()
    mutex.acquire()
    return mutex, Condition(mutex), Condition(mutex), Condition(mutex)


def _wait(condition: Any, ready: Callable[[], bool], timeout: float | None) -> bool:
    """Waits, the mutex held, until `ready()`; False when `timeout` seconds passed first."""
    if timeout is None:
        while not ready():
            condition.wait()
        return True
    if ready():
        return True
    if timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    end = monotonic() + timeout
    while not ready():
        left = end - monotonic()
        if left <= 0.0:
            return False
        condition.wait(left)
    return True


def _put_one(queue: Queue[Any], item: Any, block: bool, timeout: float | None) -> None:
    def has_room() -> bool:
        return queue.is_shutdown or not 0 < queue.maxsize <= queue._qsize()

    if not _wait(queue.not_full, has_room, timeout if block else 0):
        raise Full
    if queue.is_shutdown:
        raise ShutDown
    queue._put(item)
    queue.unfinished_tasks += 1
    queue._note(1, 0, queue._qsize())
    queue.not_empty.notify()


def _get_one(queue: Queue[Any], block: bool, timeout: float | None) -> Any:
    def has_item() -> bool:
        return queue.is_shutdown or bool(queue._qsize())

    if not _wait(queue.not_empty, has_item, timeout if block else 0):
        raise Empty
    if not queue._qsize():
        raise ShutDown
    item = queue._get()
    queue._note(0, 1, 0)
    queue.not_full.notify()
    return item


def put(queue: Queue[Any], item: Any, block: bool, timeout: float | None) -> None:
    with queue.not_full:
        _put_one(queue, item, block, timeout)


def get(queue: Queue[Any], block: bool, timeout: float | None) -> Any:
    with queue.not_empty:
        return _get_one(queue, block, timeout)


async def _await(condition: Any, ready: Callable[[], bool]) -> None:
    """Waits in a coroutine, the mutex held, until `ready()`."""
    while not ready():
        await condition.await_()


async def aput(queue: Queue[Any], item: Any) -> None:
    async with queue.not_full:
        await _await(
            queue.not_full,
            lambda: queue.is_shutdown or not 0 < queue.maxsize <= queue._qsize(),
        )
        _put_one(queue, item, False, None)


async def aget(queue: Queue[Any]) -> Any:
    async with queue.not_empty:
        await _await(queue.not_empty, lambda: queue.is_shutdown or bool(queue._qsize()))
        return _get_one(queue, False, None)


async def ajoin(queue: Queue[Any]) -> None:
    async with queue.all_tasks_done:
        await _await(queue.all_tasks_done, lambda: not queue.unfinished_tasks)


def put_many(queue: Queue[Any], items: list[Any], timeout: float | None) -> None:
    end = None if timeout is None else monotonic() + timeout
    done = 0
    try:
        with queue.not_full:
            for item in items:
                left = None if end is None else max(0.0, end - monotonic())
                _put_one(queue, item, True, left)
                done += 1
    except BaseException as error:
        error.remaining = items[done:]  # type: ignore[attr-defined]
        raise


def get_many(queue: Queue[Any], max_items: int, timeout: float | None) -> list[Any]:
    with queue.not_empty:
        items = [_get_one(queue, True, timeout)]
        while len(items) < max_items and queue._qsize():
            items.append(_get_one(queue, False, None))
        return items


def put_back(queue: Queue[Any], item: Any) -> None:
    """Takes in an item that a getter was handed before the queue was opened, and could not use."""
    with queue.mutex:
        items: Any = queue.queue
        if hasattr(items, "appendleft"):
            items.appendleft(item)
        else:
            queue._put(item)
        queue._note(0, -1, 0)
        queue.not_empty.notify()


def task_done(queue: Queue[Any]) -> None:
    with queue.all_tasks_done:
        unfinished = queue.unfinished_tasks - 1
        if unfinished < 0:
            raise ValueError("task_done() called too many times")
        queue.unfinished_tasks = unfinished
        if unfinished == 0:
            queue.all_tasks_done.notify_all()


def join(queue: Queue[Any]) -> None:
    with queue.all_tasks_done:
        while queue.unfinished_tasks:
            queue.all_tasks_done.wait()


def qsize(queue: Queue[Any]) -> int:
    with queue.mutex:
        return queue._qsize()


def full(queue: Queue[Any]) -> bool:
    with queue.mutex:
        return 0 < queue.maxsize <= queue._qsize()


def shutdown(queue: Queue[Any], immediate: bool) -> None:
    with queue.mutex:
        queue.is_shutdown = True
        if immediate:
            while queue._qsize():
                queue._get()
                queue._note(0, 1, 0)
                if queue.unfinished_tasks > 0:
                    queue.unfinished_tasks -= 1
            queue.all_tasks_done.notify_all()
        queue.not_empty.notify_all()
        queue.not_full.notify_all()


def waiters(queue: Queue[Any]) -> dict[str, int]:
    """The numbers that only an open queue's parts know, for its `statistics()`."""

    def waiting(condition: Any) -> int:
        return condition.statistics()["waiters"] if isinstance(condition, Condition) else 0

    return {
        "size": queue._qsize(),
        "getters": waiting(queue.not_empty),
        "putters": waiting(queue.not_full),
        "joiners": waiting(queue.all_tasks_done),
    }
