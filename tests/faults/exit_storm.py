"""A program that ends while hundreds of daemon threads are blocked in, and wake from, everything.

Run as a program by `test_exit`. It must end with code 0, at once, and without a word.
"""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import threading
from collections.abc import Callable
from typing import Any

import tress.queue
import tress.threading
from tress.concurrent import futures

BLOCKED = 6
"""Threads that are blocked in each call for ever."""
WAKING = 2
"""Threads in each call that are being woken again and again."""

faulthandler.enable()
faulthandler.dump_traceback_later(30, exit=True)

LOCK_HELD = tress.threading.Lock()
LOCK_HELD.acquire()
RLOCK_HELD = tress.threading.RLock()
RLOCK_HELD.acquire()


STORM = threading.Event()
"""Set once every thread is there: starting one amid the others takes its time."""
UNDER_WAY = threading.Event()
"""Set once so many steps have been made."""
STEPS = 500


def again_and_again(step: Callable[[], object], made: list[None]) -> Callable[[], None]:
    def run() -> None:
        STORM.wait()
        while True:
            step()
            made.append(None)
            if len(made) >= STEPS:
                UNDER_WAY.set()

    return run


def condition_steps(condition: Any) -> list[Callable[[], object]]:

    def wait() -> None:
        with condition:
            condition.wait()

    def notify() -> None:
        with condition:
            condition.notify_all()

    return [wait, notify]


def event_steps() -> list[Callable[[], object]]:
    event = tress.threading.Event()

    def set_and_clear() -> None:
        event.set()
        event.clear()

    return [event.wait, set_and_clear]


def lock_steps(lock: Any) -> list[Callable[[], object]]:
    def take() -> None:
        with lock:
            pass

    return [take, take]


def future_steps() -> list[Callable[[], object]]:
    waiting: list[Any] = [futures.Future()]

    def settle() -> None:
        done, waiting[0] = waiting[0], futures.Future()
        # Another thread may have settled it.
        with contextlib.suppress(futures.InvalidStateError):
            done.set_result(None)

    def wait() -> None:
        waiting[0].result()

    def wait_for_many() -> None:
        futures.wait([waiting[0], waiting[0]])

    return [wait, wait_for_many, settle]


def called_back_steps() -> list[Callable[[], object]]:
    """Steps in which tress calls Python code that is likely to be there when the end comes."""
    barrier = tress.threading.Barrier(WAKING, action=busy)

    def settle() -> None:
        future: Any = futures.Future()
        future.add_done_callback(lambda _: busy())
        future.set_result(None)
        future.add_done_callback(lambda _: busy())

    return [settle, barrier.wait]


def busy() -> None:
    for _ in range(200):
        pass


def submit_steps() -> list[Callable[[], object]]:
    pool = futures.ThreadPoolExecutor(1)

    def submit() -> None:
        try:
            pool.submit(busy).result()
        except RuntimeError:
            # Nothing can be submitted any more once the interpreter ends.
            tress.threading.Event().wait()

    return [submit]


def thread_steps() -> list[Callable[[], object]]:
    def start_and_join() -> None:
        thread = tress.threading.Thread(target=int, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread starts any more once the interpreter ends.
            tress.threading.Event().wait()
        thread.join()

    return [start_and_join]


def timer_steps() -> list[Callable[[], object]]:
    event = tress.threading.Event()

    def start() -> None:
        timer = tress.threading.Timer(0.0001, event.set)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            tress.threading.Event().wait()
        event.wait()
        event.clear()

    return [start]


def waking() -> list[Callable[[], object]]:
    """Steps of threads that wake one another."""
    semaphore = tress.threading.Semaphore(0)
    bounded: Any = tress.queue.Queue(1)
    queue: Any = tress.queue.Queue()
    priority: Any = tress.queue.PriorityQueue()
    simple: Any = tress.queue.SimpleQueue()
    barrier = tress.threading.Barrier(WAKING)

    def get_or_time_out() -> None:
        with contextlib.suppress(tress.queue.Empty):
            simple.get(timeout=0.0001)

    # Before 3.13 the interpreter itself may crash where a thread starts while it ends: it frees the
    # state of the new thread before that one has come to use it.
    starting = [*thread_steps(), *timer_steps()] if sys.version_info >= (3, 13) else []
    return [
        *starting,
        *lock_steps(tress.threading.Lock()),
        *lock_steps(tress.threading.RLock()),
        *condition_steps(tress.threading.Condition()),
        *condition_steps(tress.threading.Condition(threading.Lock())),
        *event_steps(),
        *future_steps(),
        *called_back_steps(),
        *submit_steps(),
        semaphore.acquire,
        semaphore.release,
        barrier.wait,
        lambda: bounded.put(1),
        bounded.get,
        lambda: (queue.put(1), queue.get(), queue.task_done()),
        queue.join,
        lambda: priority.put(1),
        priority.get,
        lambda: simple.put(1),
        simple.get,
        get_or_time_out,
    ]


def blocked() -> list[Callable[[], object]]:
    """Calls that never return."""
    condition = tress.threading.Condition()
    standard = tress.threading.Condition(threading.Lock())
    full: Any = tress.queue.Queue(1)
    full.put(1)
    empty: Any = tress.queue.Queue()
    never = tress.threading.Event()
    thread = tress.threading.Thread(target=never.wait, daemon=True)
    thread.start()
    timer = tress.threading.Timer(1000, print)
    timer.daemon = True
    timer.start()
    future: Any = futures.Future()

    def wait_in(condition: Any, timeout: float | None) -> None:
        with condition:
            condition.wait(timeout)

    return [
        LOCK_HELD.acquire,
        lambda: LOCK_HELD.acquire(timeout=1000),
        RLOCK_HELD.acquire,
        tress.threading.Semaphore(0).acquire,
        tress.threading.BoundedSemaphore(0).acquire,
        never.wait,
        lambda: never.wait(1000),
        lambda: wait_in(condition, None),
        lambda: wait_in(condition, 1000),
        lambda: wait_in(standard, None),
        tress.threading.Barrier(BLOCKED + 1).wait,
        lambda: full.put(2),
        full.join,
        empty.get,
        lambda: empty.get(timeout=1000),
        tress.queue.LifoQueue[int]().get,
        tress.queue.PriorityQueue[int]().get,
        tress.queue.SimpleQueue[int]().get,
        thread.join,
        thread.result,
        timer.join,
        future.result,
        future.exception,
        lambda: futures.wait([future]),
        lambda: list(futures.as_completed([future])),
    ]


def main() -> None:
    made: list[None] = []
    threads = [
        tress.threading.Thread(target=call, daemon=True)
        for call in blocked()
        for _ in range(BLOCKED)
    ]
    threads += [
        tress.threading.Thread(target=again_and_again(step, made), daemon=True)
        for step in waking()
        for _ in range(WAKING)
    ]
    sys.setswitchinterval(0.0001)
    for thread in threads:
        thread.start()
    STORM.set()
    UNDER_WAY.wait()
    # No exceptions of threads that the end of the interpreter finds half-way are of interest; what
    # is, is what the interpreter itself would print.
    if len(sys.argv) > 1:
        print(len(threads))


main()
