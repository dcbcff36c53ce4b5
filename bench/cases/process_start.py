"""A process, from its start to the end of waiting for it, by each start method."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from types import ModuleType

from bench.case import Case
from bench.sides import MULTIPROCESSING, Side


@contextmanager
def _without_a_program() -> Iterator[None]:
    """Spare new processes the import of the main module, which would be most of their time."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _start(side: Side, operations: int, method: str) -> int:
    context = side.multiprocessing.get_context(method)

    def run(processes: int) -> None:
        for _ in range(processes):
            process = context.Process(target=os.getpid)
            process.start()
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(f"{side.name}: exit code {process.exitcode}")
            process.close()

    with _without_a_program(), warnings.catch_warnings():
        # Other rounds may have left a thread that is about to end.
        warnings.simplefilter("ignore", DeprecationWarning)
        run(1)  # launches what the start method needs
        start = perf_counter_ns()
        run(operations)
        return perf_counter_ns() - start


def fork(side: Side, operations: int) -> int:
    """A copy of this process."""
    return _start(side, operations, "fork")


def spawn(side: Side, operations: int) -> int:
    """A fresh interpreter."""
    return _start(side, operations, "spawn")


def forkserver(side: Side, operations: int) -> int:
    """A copy of a process that the other starts have in common."""
    return _start(side, operations, "forkserver")


CASES = tuple(
    Case(
        name=f"process_start_{run.__name__}",
        title=f"Process: start and join, {run.__name__}",
        run=run,
        operations=operations,
        needs=(MULTIPROCESSING,),
        target=target,
        more_rounds=2,
    )
    for run, operations, target in ((fork, 50, 1.0), (spawn, 5, 1.5), (forkserver, 50, 3.0))
)
