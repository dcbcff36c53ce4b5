"""A user's program on `tress.queue`: checked by mypy --strict, and run."""

from __future__ import annotations

import asyncio
import queue as standard
from typing import Any, assert_type

from tress import queue


class Traced(queue.Queue[str]):
    """A queue that overrides what the standard class lets one override."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.seen: list[str] = []

    def _put(self, item: str) -> None:
        self.seen.append(item)
        super()._put(item)


def queues() -> None:
    numbers = queue.Queue[int](maxsize=10)
    numbers.put(1)
    numbers.put(2, block=True, timeout=1.0)
    numbers.put_nowait(3)
    assert_type(numbers.get(), int)
    assert_type(numbers.get(timeout=1), int)
    assert_type(numbers.get_nowait(), int)
    for _ in range(3):
        numbers.task_done()
    numbers.join()
    assert_type(numbers.qsize(), int)
    assert_type(numbers.empty(), bool)
    assert_type(numbers.full(), bool)
    assert_type(numbers.statistics(), dict[str, Any])
    try:
        numbers.get_nowait()
    except queue.Empty as error:
        assert isinstance(error, standard.Empty)

    numbers.put_many(range(5))
    assert_type(numbers.get_many(3), list[int])
    assert_type(numbers.get_many(max_items=3, timeout=1.0), list[int])

    as_standard: standard.Queue[int] = numbers
    as_standard.put(1)
    with numbers.mutex:
        numbers.queue.clear()
        numbers.unfinished_tasks = 0
        numbers.not_empty.notify()

    numbers.shutdown(immediate=True)
    try:
        numbers.put(1)
    except queue.ShutDown:
        pass


def orders() -> None:
    last: queue.Queue[str] = queue.LifoQueue()
    last.put("a")
    last.put("b")
    assert last.get() == "b"

    least: queue.PriorityQueue[tuple[int, str]] = queue.PriorityQueue(maxsize=2)
    least.put((2, "later"))
    least.put((1, "now"))
    assert_type(least.get(), tuple[int, str])
    try:
        least.put((3, "x"))
        least.put_nowait((4, "y"))
    except queue.Full as error:
        assert isinstance(error, standard.Full)

    simple: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    simple.put(b"x")
    simple.put(b"y", block=False, timeout=None)
    simple.put_nowait(b"z")
    assert_type(simple.get(), bytes)
    assert_type(simple.get(timeout=1), bytes)
    assert_type(simple.get_nowait(), bytes)
    assert_type(simple.qsize(), int)
    assert_type(simple.empty(), bool)
    assert_type(simple.statistics(), dict[str, Any])


def subclasses() -> None:
    traced = Traced()
    traced.put("a")
    assert traced.get() == "a"
    assert traced.seen == ["a"]


async def awaited() -> None:
    numbers = queue.PriorityQueue[int](maxsize=2)
    await numbers.aput(1)
    waits = asyncio.create_task(numbers.aget())
    assert_type(await waits, int)
    numbers.task_done()
    await numbers.ajoin()
    simple: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    simple.put(b"x")
    assert_type(await simple.aget(), bytes)


def main() -> None:
    queues()
    orders()
    subclasses()
    asyncio.run(awaited())


if __name__ == "__main__":
    main()
