"""Threads and timers that come and go."""

from __future__ import annotations

from time import perf_counter_ns

from bench.case import Case
from bench.sides import Side

FAR_AWAY_S = 3600.0
# So many timers are under way at most, on the side where each has a thread.
BATCH = 50


def nothing() -> None:
    """What the threads do."""


def start_join(side: Side, operations: int) -> int:
    """Make, start and join one thread after the other."""
    Thread = side.Thread
    start = perf_counter_ns()
    for _ in range(operations):
        thread = Thread(target=nothing)
        thread.start()
        thread.join()
    return perf_counter_ns() - start


def timer_start_cancel(side: Side, operations: int) -> int:
    """Make, start and cancel one timer after the other; joined in batches outside the clock."""
    Timer = side.Timer
    elapsed = 0
    left = operations
    while left > 0:
        batch = min(BATCH, left)
        left -= batch
        timers = []
        start = perf_counter_ns()
        for _ in range(batch):
            timer = Timer(FAR_AWAY_S, nothing)
            timer.start()
            timer.cancel()
            timers.append(timer)
        elapsed += perf_counter_ns() - start
        for timer in timers:
            timer.join()
    return elapsed


CASES = (
    Case(
        name="thread_start_join",
        title="Thread start, join",
        run=start_join,
        operations=500,
        needs=("Thread",),
        target=1.5,
        more_rounds=3,
    ),
    Case(
        name="timer_start_cancel",
        title="Timer start, cancel",
        run=timer_start_cancel,
        operations=500,
        needs=("Timer",),
        target=10.0,
        more_rounds=3,
    ),
)
