"""The pool of processes, from the submission of a call to its result.

Two workers, forked before the clock runs. What travels is what is measured: the calls do nothing.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from bench import work
from bench.case import Case
from bench.sides import Side

WORKERS = 2
ARRAY = 64 << 20


def _timed(side: Side, run: Callable[[Any], object]) -> int:
    with warnings.catch_warnings():
        # Forked before this side's pool has its thread, but after those of other rounds.
        warnings.simplefilter("ignore", DeprecationWarning)
        with side.ProcessPoolExecutor(
            WORKERS, mp_context=multiprocessing.get_context("fork")
        ) as pool:
            while len(set(pool.map(work.pid, range(64)))) < WORKERS:
                pass
            start = perf_counter_ns()
            run(pool)
            return perf_counter_ns() - start


def submit_result(side: Side, operations: int) -> int:
    """One call at a time, there and back."""

    def run(pool: Any) -> None:
        for value in range(operations):
            pool.submit(work.task, value).result()

    return _timed(side, run)


def _map(side: Side, operations: int, chunksize: int) -> int:
    def run(pool: Any) -> None:
        results = list(pool.map(work.task, range(operations), chunksize=chunksize))
        if results[-1] != operations - 1:
            raise RuntimeError(f"{side.name}: wrong result")

    return _timed(side, run)


def map_single(side: Side, operations: int) -> int:
    """`map`, each call a task of its own."""
    return _map(side, operations, 1)


def map_chunks(side: Side, operations: int) -> int:
    """`map`, a thousand calls to a task."""
    return _map(side, operations, 1000)


def large_argument(side: Side, operations: int) -> int:
    """An array of 64 MiB as an argument."""
    array = work.zeros(ARRAY)

    def run(pool: Any) -> None:
        for _ in range(operations):
            if pool.submit(work.length, array).result() != ARRAY:
                raise RuntimeError(f"{side.name}: wrong result")

    return _timed(side, run)


def large_result(side: Side, operations: int) -> int:
    """An array of 64 MiB as a result."""

    def run(pool: Any) -> None:
        for _ in range(operations):
            if len(pool.submit(work.zeros, ARRAY).result()) != ARRAY:
                raise RuntimeError(f"{side.name}: wrong result")

    return _timed(side, run)


def _timed_pool(side: Side, run: Callable[[Any], object]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with side.Pool(WORKERS, context=multiprocessing.get_context("fork")) as pool:
            while len(set(pool.map(work.pid, range(64), chunksize=1))) < WORKERS:
                pass
            start = perf_counter_ns()
            run(pool)
            return perf_counter_ns() - start


def pool_apply(side: Side, operations: int) -> int:
    """`Pool.apply`: one call at a time, there and back."""

    def run(pool: Any) -> None:
        for value in range(operations):
            pool.apply(work.task, (value,))

    return _timed_pool(side, run)


def pool_imap_unordered(side: Side, operations: int) -> int:
    """`Pool.imap_unordered`, each call a task of its own."""

    def run(pool: Any) -> None:
        total = sum(pool.imap_unordered(work.task, range(operations)))
        if total != operations * (operations - 1) // 2:
            raise RuntimeError(f"{side.name}: wrong result")

    return _timed_pool(side, run)


def pool_map(side: Side, operations: int) -> int:
    """`Pool.map`, four chunks for each worker."""

    def run(pool: Any) -> None:
        if pool.map(work.task, range(operations))[-1] != operations - 1:
            raise RuntimeError(f"{side.name}: wrong result")

    return _timed_pool(side, run)


CASES = (
    Case(
        name="process_submit_result",
        title="processes: submit().result()",
        run=submit_result,
        operations=500,
        needs=("ProcessPoolExecutor",),
        target=5.0,
        more_rounds=2,
    ),
    Case(
        name="process_map",
        title="processes: map",
        run=map_single,
        operations=4_000,
        needs=("ProcessPoolExecutor",),
        target=10.0,
        more_rounds=2,
    ),
    Case(
        name="process_map_chunks",
        title="processes: map, chunksize 1000",
        run=map_chunks,
        operations=200_000,
        needs=("ProcessPoolExecutor",),
        target=1.3,
    ),
    Case(
        name="process_pool_apply",
        title="processes: Pool.apply",
        run=pool_apply,
        operations=500,
        needs=("Pool",),
        target=4.0,
        more_rounds=2,
    ),
    Case(
        name="process_pool_imap_unordered",
        title="processes: Pool.imap_unordered",
        run=pool_imap_unordered,
        operations=4_000,
        needs=("Pool",),
        target=5.0,
        more_rounds=2,
    ),
    Case(
        name="process_pool_map",
        title="processes: Pool.map, default chunks",
        run=pool_map,
        operations=200_000,
        needs=("Pool",),
        target=1.2,
    ),
    Case(
        name="process_large_argument",
        title="processes: array of 64 MiB as an argument",
        run=large_argument,
        operations=16,
        needs=("ProcessPoolExecutor", "numpy"),
        target=10.0,
    ),
    Case(
        name="process_large_result",
        title="processes: array of 64 MiB as a result",
        run=large_result,
        operations=16,
        needs=("ProcessPoolExecutor", "numpy"),
        target=10.0,
    ),
)
