"""What tasks share: a queue, a lock, an event."""

from __future__ import annotations

from time import perf_counter_ns

from bench.coroutines import case
from bench.sides import Side

CAPACITY = 100
CONTENDERS = 10


async def queue(side: Side, operations: int) -> int:
    """One item from one task to another, through a queue that is full and empty by turns."""
    items = side.asyncio.Queue(CAPACITY)

    async def produce() -> None:
        for value in range(operations):
            await items.put(value)

    start = perf_counter_ns()
    producer = side.asyncio.create_task(produce())
    for value in range(operations):
        if await items.get() != value:
            raise RuntimeError(f"{side.name}: wrong item")
    took = perf_counter_ns() - start
    await producer
    return took


async def lock_alone(side: Side, operations: int) -> int:
    """Enter and leave, nobody else there."""
    lock = side.asyncio.Lock()
    start = perf_counter_ns()
    for _ in range(operations):
        async with lock:
            pass
    return perf_counter_ns() - start


async def lock_contended(side: Side, operations: int) -> int:
    """Enter, one turn of the loop, and leave, by one of ten that all want in."""
    lock, sleep = side.asyncio.Lock(), side.asyncio.sleep

    async def contend() -> None:
        for _ in range(max(1, operations // CONTENDERS)):
            async with lock:
                await sleep(0)

    start = perf_counter_ns()
    for task in [side.asyncio.create_task(contend()) for _ in range(CONTENDERS)]:
        await task
    return perf_counter_ns() - start


async def event_ping_pong(side: Side, operations: int) -> int:
    """There and back between two tasks, by two events."""
    ping, pong = side.asyncio.Event(), side.asyncio.Event()

    async def answer() -> None:
        for _ in range(operations):
            await ping.wait()
            ping.clear()
            pong.set()

    start = perf_counter_ns()
    other = side.asyncio.create_task(answer())
    for _ in range(operations):
        ping.set()
        await pong.wait()
        pong.clear()
    took = perf_counter_ns() - start
    await other
    return took


CASES = (
    case("async_queue_1p1c", "Queue(100), 1 producer, 1 consumer", queue, 100_000, 2.0),
    case("async_lock_alone", "async with Lock()", lock_alone, 200_000, 2.0),
    case("async_lock_contended", "Lock that ten tasks want", lock_contended, 50_000, 1.5),
    case("async_event_ping_pong", "Event ping-pong of two tasks", event_ping_pong, 30_000, 1.5),
)
