"""Tasks: one after the other, and many at once."""

from __future__ import annotations

from time import perf_counter_ns

from bench.coroutines import case
from bench.sides import Side

LONG_S = 10.0
# A sleeper sleeps for so many milliseconds at most: for less time than making them all takes.
MOST_MS = 10


async def ready(value: int) -> int:
    """A coroutine that waits for nothing."""
    return value


async def sleep0(side: Side, operations: int) -> int:
    """One turn of the loop for one task."""
    sleep = side.asyncio.sleep
    start = perf_counter_ns()
    for _ in range(operations):
        await sleep(0)
    return perf_counter_ns() - start


async def create_await(side: Side, operations: int) -> int:
    """A task made, run, and its result."""
    create_task = side.asyncio.create_task
    start = perf_counter_ns()
    for value in range(operations):
        await create_task(ready(value))
    return perf_counter_ns() - start


async def wait_for(side: Side, operations: int) -> int:
    """A limit on a coroutine that does not wait."""
    limited = side.asyncio.wait_for
    start = perf_counter_ns()
    for value in range(operations):
        await limited(ready(value), LONG_S)
    return perf_counter_ns() - start


async def gather(side: Side, operations: int) -> int:
    """One of many, all gathered at once."""
    together = side.asyncio.gather
    start = perf_counter_ns()
    results = await together(*[ready(value) for value in range(operations)])
    took = perf_counter_ns() - start
    if results != list(range(operations)):
        raise RuntimeError(f"{side.name}: wrong results")
    return took


async def group(side: Side, operations: int) -> int:
    """One of many in one group."""
    TaskGroup = side.asyncio.TaskGroup
    start = perf_counter_ns()
    async with TaskGroup() as tasks:
        made = [tasks.create_task(ready(value)) for value in range(operations)]
    took = perf_counter_ns() - start
    if [task.result() for task in made] != list(range(operations)):
        raise RuntimeError(f"{side.name}: wrong results")
    return took


async def sleepers(side: Side, operations: int) -> int:
    """One of many that each sleep for some milliseconds, until the last has ended."""
    create_task, sleep = side.asyncio.create_task, side.asyncio.sleep
    start = perf_counter_ns()
    made = [create_task(sleep((1 + value % MOST_MS) / 1000)) for value in range(operations)]
    for task in made:
        await task
    return perf_counter_ns() - start


CASES = (
    case("task_sleep0", "await sleep(0)", sleep0, 200_000, 1.3),
    case("task_create_await", "create_task, await", create_await, 50_000, 1.3),
    case("task_wait_for", "wait_for of a ready coroutine", wait_for, 50_000, 2.0),
    case("task_gather_100000", "gather of 100 000", gather, 100_000, 2.0),
    case("task_group_100000", "TaskGroup of 100 000", group, 100_000, 2.0),
    case("task_10000_sleepers", "10 000 tasks that sleep 1 to 10 ms", sleepers, 10_000, 2.0),
)
