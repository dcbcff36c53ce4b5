"""What the loop calls, and what it waits for outside of itself."""

from __future__ import annotations

import threading
from itertools import repeat
from time import perf_counter_ns

from bench.coroutines import case
from bench.sides import Side

# So many calls wait at a time: the loop's own turn is a hundredth of the figure of each.
BATCH = 100
FAR_AWAY_S = 3600.0


def nothing() -> None:
    """What the loop calls."""


def same(value: int) -> int:
    """What the executor calls."""
    return value


async def call_soon(side: Side, operations: int) -> int:
    """Asked for by the loop's own thread, and called."""
    soon, sleep = side.asyncio.get_running_loop().call_soon, side.asyncio.sleep
    start = perf_counter_ns()
    for _ in range(max(1, operations // BATCH)):
        for _ in repeat(None, BATCH):
            soon(nothing)
        await sleep(0)
    return perf_counter_ns() - start


async def call_soon_threadsafe(side: Side, operations: int) -> int:
    """Asked for by another thread, and called, as both go on."""
    loop = side.asyncio.get_running_loop()
    soon, ended = loop.call_soon_threadsafe, loop.create_future()
    gate = threading.Event()

    def work() -> None:
        gate.wait()
        for _ in repeat(None, operations - 1):
            soon(nothing)
        soon(ended.set_result, None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    start = perf_counter_ns()
    gate.set()
    await ended
    took = perf_counter_ns() - start
    thread.join()
    return took


async def call_later_cancel(side: Side, operations: int) -> int:
    """A timer that is made and cancelled, as most are; the loop goes on meanwhile."""
    later, sleep = side.asyncio.get_running_loop().call_later, side.asyncio.sleep
    start = perf_counter_ns()
    for _ in range(max(1, operations // BATCH)):
        for _ in repeat(None, BATCH):
            later(FAR_AWAY_S, nothing).cancel()
        await sleep(0)
    return perf_counter_ns() - start


async def run_in_executor(side: Side, operations: int) -> int:
    """One call at a time in the default executor, there and back; its first thread is there."""
    run = side.asyncio.get_running_loop().run_in_executor
    await run(None, same, 0)
    start = perf_counter_ns()
    for value in range(operations):
        if await run(None, same, value) != value:
            raise RuntimeError(f"{side.name}: wrong result")
    return perf_counter_ns() - start


async def subprocess_exec_wait(side: Side, operations: int) -> int:
    """One `true` after the other, started and waited for."""
    start_process = side.asyncio.create_subprocess_exec
    start = perf_counter_ns()
    for _ in range(operations):
        process = await start_process("true")
        if await process.wait() != 0:
            raise RuntimeError(f"{side.name}: wrong status")
    return perf_counter_ns() - start


CASES = (
    case("loop_call_soon", "call_soon", call_soon, 300_000, 1.1),
    case(
        "loop_call_soon_threadsafe",
        "call_soon_threadsafe, from another thread",
        call_soon_threadsafe,
        100_000,
        1.1,
        more_rounds=2,
    ),
    case("loop_call_later_cancel", "call_later, cancel", call_later_cancel, 100_000, 1.1),
    case(
        "loop_run_in_executor",
        "run_in_executor, there and back",
        run_in_executor,
        3_000,
        2.0,
        more_rounds=2,
    ),
    case("loop_subprocess_exec", "subprocess_exec, wait", subprocess_exec_wait, 100, 1.1),
)
