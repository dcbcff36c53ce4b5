"""Threads, or processes, that start together, for cases in which several take part.

They are there before the clock runs: what is measured is what they use, and not they. The threads
are the standard library's own on every side, the processes of the side's own context.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any


def timed(jobs: Sequence[Callable[[], object]]) -> int:
    """Run each job in its own thread, all at once; nanoseconds until the last has returned.

    The first exception of a job is raised again once all have ended.
    """
    ready = threading.Semaphore(0)
    gate = threading.Event()
    ended: list[int] = []
    failures: list[BaseException] = []

    def work(job: Callable[[], object]) -> None:
        ready.release()
        gate.wait()
        try:
            job()
        except BaseException as failure:  # noqa: BLE001 - raised again by the caller
            failures.append(failure)
        ended.append(perf_counter_ns())

    threads = [threading.Thread(target=work, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for _ in jobs:
        ready.acquire()
    start = perf_counter_ns()
    gate.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return max(ended) - start


@contextmanager
def processes(
    context: Any, count: int, job: Callable[..., None], *args: Any
) -> Iterator[Callable[[], None]]:
    """So many processes that are about to call `job(*args)`.

    Gives what lets them go; in the end they are waited for.
    """
    ready, go = context.Semaphore(0), context.Event()
    started = [
        context.Process(target=_begin, args=(job, ready, go, args), daemon=True)
        for _ in range(count)
    ]
    for process in started:
        process.start()
    for _ in started:
        ready.acquire()
    yield go.set
    for process in started:
        process.join()


def _begin(job: Callable[..., None], ready: Any, go: Any, args: tuple[Any, ...]) -> None:
    ready.release()
    go.wait()
    job(*args)
