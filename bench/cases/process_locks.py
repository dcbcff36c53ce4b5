"""Locks between processes: the price of a call, and two processes that want the same one.

The other process is forked, and has been heard of, before the clock runs.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from bench import crew, work
from bench.case import Case, statement_runner
from bench.sides import MULTIPROCESSING, Side

PROCESSES = 2


def _lock(side: Side) -> dict[str, Any]:
    return {"lock": side.multiprocessing.get_context("fork").Lock()}


def lock_and_value(side: Side, operations: int) -> int:
    """Two processes count up one Value, each time under one Lock; an operation is one increment."""
    context = side.multiprocessing.get_context("fork")
    lock, value = context.Lock(), context.Value("q", 0, lock=False)
    ended = context.Semaphore(0)
    share = operations // PROCESSES
    with crew.processes(context, PROCESSES, work.count_up, lock, value, ended, share) as go:
        start = perf_counter_ns()
        go()
        for _ in range(PROCESSES):
            ended.acquire()
        took = perf_counter_ns() - start
    if value.value != PROCESSES * share:
        raise RuntimeError(f"{side.name}: {value.value} of {PROCESSES * share} increments")
    return took


CASES = (
    Case(
        name="process_lock_with",
        title="processes: with Lock()",
        run=statement_runner("with lock:\n    pass", _lock),
        operations=200_000,
        needs=(MULTIPROCESSING,),
        target=1.0,
    ),
    Case(
        name="process_lock_value",
        title="processes: two on one Lock and Value",
        run=lock_and_value,
        operations=40_000,
        needs=(MULTIPROCESSING,),
        target=1.0,
        more_rounds=2,
    ),
)
