"""Threads that start together, for cases in which several take part.

They are the standard library's own threads on every side, started before the clock runs: what is
measured is what they use, and not they.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import perf_counter_ns


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
