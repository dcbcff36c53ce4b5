"""Queues between processes: what one side puts, the other gets.

The other processes are forked, and have been heard of, before the clock runs. It ends when the last
item is there.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from bench import crew, work
from bench.case import Case
from bench.sides import PROCESS_QUEUES, Side

ITEM = (1, "name", 2.5)
LONG = 8 << 20


def _from_producers(side: Side, producers: int, each: int, item: Any) -> int:
    context = side.process_queues.get_context("fork")
    queue = context.Queue()
    with crew.processes(context, producers, work.put_each, queue, item, each) as go:
        get = queue.get
        start = perf_counter_ns()
        go()
        for _ in range(producers * each):
            last = get()
        took = perf_counter_ns() - start
    if last != item:
        raise RuntimeError(f"{side.name}: wrong result")
    return took


def small_1p1c(side: Side, operations: int) -> int:
    """A tuple of three, from one process to another."""
    return _from_producers(side, 1, operations, ITEM)


def small_4p1c(side: Side, operations: int) -> int:
    """A tuple of three, from four processes to another."""
    return _from_producers(side, 4, operations // 4, ITEM)


def long_1p1c(side: Side, operations: int) -> int:
    """8 MiB of bytes, from one process to another."""
    return _from_producers(side, 1, operations, b"x" * LONG)


CASES = (
    Case(
        name="process_queue_small_1p1c",
        title="Queue: small item, 1 to 1",
        run=small_1p1c,
        operations=20_000,
        needs=(PROCESS_QUEUES,),
        target=5.0,
        more_rounds=2,
    ),
    Case(
        name="process_queue_small_4p1c",
        title="Queue: small item, 4 to 1",
        run=small_4p1c,
        operations=20_000,
        needs=(PROCESS_QUEUES,),
        target=5.0,
        more_rounds=2,
    ),
    Case(
        name="process_queue_8mib",
        title="Queue: 8 MiB",
        run=long_1p1c,
        operations=30,
        needs=(PROCESS_QUEUES,),
        target=8.0,
        more_rounds=2,
    ),
)
