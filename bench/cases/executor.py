"""The thread pool, from the submission to the last result.

The pool's threads are started before the clock runs, on every side, and shut down after it: what is
timed is the way of a task. Tasks are as small as a Python function can be, so that the pool is what
costs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from bench.case import Case
from bench.sides import Side

WORKERS = 4


def task(value: int) -> int:
    """What every worker does."""
    return value


def _warm_pool(side: Side) -> Any:
    """A pool all of whose threads run: each has been in the one meeting."""
    pool = side.ThreadPoolExecutor(WORKERS)
    meeting = threading.Barrier(WORKERS)
    for future in [pool.submit(meeting.wait) for _ in range(WORKERS)]:
        future.result()
    return pool


def _timed(side: Side, work: Callable[[Any], object]) -> int:
    pool = _warm_pool(side)
    try:
        start = perf_counter_ns()
        work(pool)
        return perf_counter_ns() - start
    finally:
        pool.shutdown()


def submit_result(side: Side, operations: int) -> int:
    """One task at a time, there and back."""

    def work(pool: Any) -> None:
        for value in range(operations):
            pool.submit(task, value).result()

    return _timed(side, work)


def submits(side: Side, operations: int) -> int:
    """All tasks submitted, then all done: the clock stops when the pool has shut down."""

    def work(pool: Any) -> None:
        futures = [pool.submit(task, value) for value in range(operations)]
        pool.shutdown()
        if futures[-1].result() != operations - 1:
            raise RuntimeError(f"{side.name}: wrong result")

    return _timed(side, work)


def map_(side: Side, operations: int) -> int:
    """`map` over a range, the results in a list."""

    def work(pool: Any) -> None:
        if list(pool.map(task, range(operations)))[-1] != operations - 1:
            raise RuntimeError(f"{side.name}: wrong result")

    return _timed(side, work)


def as_completed(side: Side, operations: int) -> int:
    """Tasks submitted, then every future seen as it completes."""

    def work(pool: Any) -> None:
        futures = [pool.submit(task, value) for value in range(operations)]
        seen = 0
        for _ in side.as_completed(futures):
            seen += 1
        if seen != operations:
            raise RuntimeError(f"{side.name}: {seen} of {operations} futures")

    return _timed(side, work)


def wait(side: Side, operations: int) -> int:
    """Tasks submitted, then waited for all at once."""

    def work(pool: Any) -> None:
        futures = [pool.submit(task, value) for value in range(operations)]
        done, not_done = side.wait(futures)
        if len(done) != operations or not_done:
            raise RuntimeError(f"{side.name}: {len(done)} of {operations} futures")

    return _timed(side, work)


CASES = (
    Case(
        name="executor_submit_result",
        title="submit().result()",
        run=submit_result,
        operations=2_000,
        needs=("ThreadPoolExecutor",),
        target=2.5,
        more_rounds=3,
    ),
    Case(
        name="executor_30000_submits",
        title="30 000 submits, all done",
        run=submits,
        operations=30_000,
        needs=("ThreadPoolExecutor",),
        target=8.0,
        more_rounds=3,
    ),
    Case(
        name="executor_map",
        title="map",
        run=map_,
        operations=30_000,
        needs=("ThreadPoolExecutor",),
        target=8.0,
        more_rounds=3,
    ),
    Case(
        name="executor_as_completed",
        title="submits, as_completed",
        run=as_completed,
        operations=30_000,
        needs=("ThreadPoolExecutor", "as_completed"),
        target=8.0,
        more_rounds=3,
    ),
    Case(
        name="executor_wait",
        title="submits, wait",
        run=wait,
        operations=30_000,
        needs=("ThreadPoolExecutor", "wait"),
        target=8.0,
        more_rounds=3,
    ),
)
