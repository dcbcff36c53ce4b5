"""Nothing is left behind: neither memory nor objects, by use, by failure, nor by cycles.

TRESS_LEAK_OPERATIONS says how many operations each measurement makes; a million is the full run,
the default is what every run of the tests can afford.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import tress
import tress.queue
import tress.threading
from tests.faults.resources import resident_bytes
from tests.threads.ordering import BOUND_S, Runner, blocked, until
from tress import _native
from tress.concurrent import futures

OPERATIONS = int(os.environ.get("TRESS_LEAK_OPERATIONS", "50000"))

pytestmark = pytest.mark.bound(60 + OPERATIONS / 2_000)


def take_and_fail(lock: Any) -> None:
    with lock:
        raise ValueError


def swallow(call: Callable[[], object], *kinds: type[BaseException]) -> None:
    try:
        call()
    except kinds:
        pass


def operations() -> dict[str, tuple[int, Callable[[], object]]]:
    """Each operation, with how many times as costly as the cheapest it is."""
    lock, rlock = tress.threading.Lock(), tress.threading.RLock()
    held = tress.threading.Lock()
    held.acquire()
    semaphore, event = tress.threading.Semaphore(1), tress.threading.Event()
    bounded = tress.threading.BoundedSemaphore(1)
    empty = tress.threading.Semaphore(0)
    condition = tress.threading.Condition()
    of_lock = tress.threading.Condition(tress.threading.Lock())
    standard = tress.threading.Condition(threading.Lock())
    alone, pair = tress.threading.Barrier(1, lambda: None), tress.threading.Barrier(2)
    queue: Any = tress.queue.Queue()
    full: Any = tress.queue.Queue(1)
    full.put(1)
    simple: Any = tress.queue.SimpleQueue()
    priority: Any = tress.queue.PriorityQueue()

    def take(lock: Any) -> None:
        lock.acquire()
        lock.release()

    def use_an_event() -> None:
        event.set()
        event.wait()
        event.clear()

    def wait_in(condition: Any, timeout: float) -> None:
        with condition:
            condition.wait(timeout)
            condition.notify_all()

    def go_through_a_queue(queue: Any) -> None:
        queue.put(object())
        queue.get()

    def break_a_barrier() -> None:
        swallow(lambda: pair.wait(0), threading.BrokenBarrierError)
        pair.reset()

    def run_a_thread() -> None:
        thread = tress.threading.Thread(target=list, args=([1, 2],))
        thread.start()
        assert thread.result() == [1, 2]

    def fail_in_a_thread() -> None:
        thread = tress.threading.Thread(target=take_and_fail, args=(lock,))
        thread.start()
        swallow(thread.result, ValueError)

    def run_a_timer() -> None:
        timer = tress.threading.Timer(0, list, ([1],))
        timer.start()
        timer.join()

    def cancel_a_timer() -> None:
        timer = tress.threading.Timer(1000, list)
        timer.start()
        timer.cancel()

    def settle_a_future() -> None:
        future: Any = futures.Future()
        future.add_done_callback(lambda future: None)
        future.set_result(future)
        assert future.result() is future

    def fail_a_future() -> None:
        future: Any = futures.Future()
        future.set_exception(ValueError())
        swallow(future.result, ValueError)

    def use_a_pool() -> None:
        with futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(abs, range(10)))

    return {
        "lock": (1, lambda: take(lock)),
        "lock, with failing": (2, lambda: swallow(lambda: take_and_fail(lock), ValueError)),
        "lock, timing out": (5, lambda: held.acquire(timeout=0.000001)),
        "lock, a bad argument": (3, lambda: swallow(lambda: lock.acquire(False, 1), ValueError)),
        "lock, released when free": (3, lambda: swallow(lock.release, RuntimeError)),
        "locks made": (1, tress.threading.Lock),
        "rlock": (1, lambda: take(rlock)),
        "rlocks made": (1, tress.threading.RLock),
        "rlock, released when free": (3, lambda: swallow(rlock.release, RuntimeError)),
        "semaphore": (1, lambda: take(semaphore)),
        "semaphore, timing out": (5, lambda: empty.acquire(timeout=0.000001)),
        "semaphore, above its bound": (3, lambda: swallow(bounded.release, ValueError)),
        "semaphores made": (2, lambda: tress.threading.Semaphore(3)),
        "bounded semaphores made": (3, lambda: tress.threading.BoundedSemaphore(3)),
        "event": (1, use_an_event),
        "event, timing out": (5, lambda: event.wait(0.000001)),
        "events made": (1, tress.threading.Event),
        "condition": (10, lambda: wait_in(condition, 0.000001)),
        "condition of a lock": (10, lambda: wait_in(of_lock, 0.000001)),
        "condition of a standard lock": (10, lambda: wait_in(standard, 0.000001)),
        "condition, not held": (3, lambda: swallow(condition.wait, RuntimeError)),
        "conditions made": (2, tress.threading.Condition),
        "barrier": (2, alone.wait),
        "barrier, broken": (5, break_a_barrier),
        "barriers made": (2, lambda: tress.threading.Barrier(2, lambda: None, 1.5)),
        "queue": (2, lambda: go_through_a_queue(queue)),
        "queue, empty": (3, lambda: swallow(queue.get_nowait, tress.queue.Empty)),
        "queue, full": (3, lambda: swallow(lambda: full.put_nowait(1), tress.queue.Full)),
        "queue, timing out": (
            9,
            lambda: swallow(lambda: queue.get(timeout=0.000001), tress.queue.Empty),
        ),
        "queue, timing out when full": (
            9,
            lambda: swallow(lambda: full.put(1, timeout=0.000001), tress.queue.Full),
        ),
        "queues made": (2, tress.queue.Queue),
        "simple queue": (1, lambda: (simple.put(object()), simple.get())),
        "simple queues made": (1, tress.queue.SimpleQueue),
        "priority queue": (2, lambda: (priority.put(1), priority.get())),
        "threads": (100, run_a_thread),
        "threads that fail": (100, fail_in_a_thread),
        "threads made": (10, tress.threading.Thread),
        "timers": (150, run_a_timer),
        "timers cancelled": (20, cancel_a_timer),
        "futures": (3, settle_a_future),
        "futures that fail": (4, fail_a_future),
        "pools": (500, use_a_pool),
        "waits()": (20, tress.waits),
        "statistics and reprs": (
            30,
            lambda: [(t.statistics(), repr(t)) for t in (lock, rlock, semaphore, event, condition)],
        ),
    }


@pytest.mark.parametrize("name", operations())
def test_operations_leave_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    cost, operation = operations()[name]
    rounds = max(20, OPERATIONS // cost)

    def run(times: int) -> None:
        for _ in range(times):
            operation()
        gc.collect()

    run(rounds // 4)
    # A leak is there each time; what tests before this one left to be freed is not.
    for _ in range(3):
        objects, memory = len(gc.get_objects()), resident_bytes()
        run(rounds)
        more_objects = len(gc.get_objects()) - objects
        more_memory = resident_bytes() - memory
        # An object of 16 bytes an operation shows; so does nothing that the allocator keeps.
        if more_objects < 50 and more_memory < max(2_000_000, 16 * rounds):
            return
    pytest.fail(f"{rounds} operations left {more_objects} objects and {more_memory} bytes")


class Canary:
    """Tells whether what refers to it has been freed."""


def left_over(make: Callable[[Canary], object]) -> list[object]:
    """What is still there of what `make` makes around a canary, once nobody refers to it.

    The garbage collector clears weak references to what it cannot free as well, so it is asked what
    it knows of.
    """
    kinds = {Canary, type(make(Canary()))}
    gc.collect()
    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing) in kinds]


def a_barrier_whose_action_is_its_own(canary: Canary) -> object:
    class Own(tress.threading.Barrier):
        canary: Canary

        def __init__(self, parties: int) -> None:
            super().__init__(parties, self.act)

        def act(self) -> None:
            pass

    barrier = Own(1)
    barrier.canary = canary
    barrier.wait()
    return barrier


def a_barrier_whose_timeout_refers_to_it(canary: Canary) -> object:
    class Seconds(float):
        pass

    seconds = Seconds(5)
    barrier = tress.threading.Barrier(1, None, seconds)
    seconds.barrier = barrier  # type: ignore[attr-defined]
    seconds.canary = canary  # type: ignore[attr-defined]
    return barrier


def a_condition_whose_lock_is_a_part_of_it(canary: Canary) -> object:
    class Both(tuple):  # type: ignore[type-arg]
        """A lock that cannot be cleared, as a tuple cannot."""

        def acquire(self, *args: object) -> bool:
            return True

        def release(self) -> None:
            pass

    condition: Any = tress.threading.Condition.__new__(tress.threading.Condition)
    condition.__init__(Both((condition, canary)))
    return condition


def a_condition_whose_lock_refers_to_it(canary: Canary) -> object:
    class Own(tress.threading.RLock):
        pass

    lock: Any = Own()
    lock.condition = tress.threading.Condition(lock)
    lock.canary = canary
    with lock.condition:
        lock.condition.wait(0)
    return lock


def a_timer_whose_function_is_its_own(canary: Canary) -> object:
    class Own(tress.threading.Timer):
        def __init__(self) -> None:
            super().__init__(0, self.act)

        def act(self) -> None:
            pass

    timer: Any = Own()
    timer.canary = canary
    timer.start()
    timer.join(BOUND_S)
    return timer


def a_timer_that_is_never_started(canary: Canary) -> object:
    timer: Any = tress.threading.Timer(5, print)
    timer.function = timer.cancel
    timer.canary = canary
    return timer


def a_timer_that_is_cancelled(canary: Canary) -> object:
    timer: Any = tress.threading.Timer(1000, print)
    timer.function = timer.cancel
    timer.canary = canary
    timer.start()
    timer.cancel()
    return timer


def a_thread_whose_target_is_its_own(canary: Canary) -> object:
    class Own(tress.threading.Thread):
        def __init__(self) -> None:
            super().__init__(target=self.act)

        def act(self) -> object:
            return self

    thread: Any = Own()
    thread.canary = canary
    thread.start()
    assert thread.result() is thread
    return thread


def a_thread_that_fails_with_itself(canary: Canary) -> object:
    thread: Any = None

    def fail() -> None:
        own, kept = thread, canary
        raise ValueError(own, kept)

    thread = tress.threading.Thread(target=fail)
    thread.start()
    swallow(thread.result, ValueError)
    return thread


class _Joined:
    def __init__(self, canary: Canary) -> None:
        self.canary = canary
        # What a join keeps while it is seen to wait, and what the traceback of one that was
        # interrupted refers to.
        self.waiting = _native.Waiting("Thread.join", self)


def a_join_that_was_interrupted(canary: Canary) -> object:
    return _Joined(canary)


def a_future_that_is_its_own_result(canary: Canary) -> object:
    future: Any = futures.Future()
    future.set_result([future, canary])
    return future


def a_future_with_a_callback_around_itself(canary: Canary) -> object:
    future: Any = futures.Future()
    future.add_done_callback(lambda done: (future, canary))
    return future


def a_queue_that_holds_itself(canary: Canary) -> object:
    queue: Any = tress.queue.Queue()
    queue.put((queue, canary))
    return queue


def a_simple_queue_that_holds_itself(canary: Canary) -> object:
    queue: Any = tress.queue.SimpleQueue()
    queue.put((queue, canary))
    return queue


def a_semaphore_that_refers_to_itself(canary: Canary) -> object:
    class Own(tress.threading.Semaphore):
        pass

    semaphore: Any = Own()
    semaphore.own = (semaphore, canary)
    return semaphore


def an_event_that_refers_to_itself(canary: Canary) -> object:
    class Own(tress.threading.Event):
        pass

    event: Any = Own()
    event.own = (event, canary)
    return event


def a_deadlock_that_was_told(canary: Canary) -> object:
    a, b = tress.threading.Lock(), tress.threading.Lock()

    def take() -> None:
        kept = canary
        with a, b:
            del kept

    b.acquire()
    other = blocked(take)
    try:
        a.acquire()
    except tress.DeadlockError as error:
        # The error, its traceback and this frame refer to one another.
        canary.error = error  # type: ignore[attr-defined]
    b.release()
    other.result()
    return canary


CYCLES = [
    a_barrier_whose_action_is_its_own,
    a_barrier_whose_timeout_refers_to_it,
    a_condition_whose_lock_is_a_part_of_it,
    a_condition_whose_lock_refers_to_it,
    a_timer_whose_function_is_its_own,
    a_timer_that_is_never_started,
    a_timer_that_is_cancelled,
    a_thread_whose_target_is_its_own,
    a_thread_that_fails_with_itself,
    a_join_that_was_interrupted,
    a_future_that_is_its_own_result,
    a_future_with_a_callback_around_itself,
    a_queue_that_holds_itself,
    a_simple_queue_that_holds_itself,
    a_semaphore_that_refers_to_itself,
    an_event_that_refers_to_itself,
    a_deadlock_that_was_told,
]


@pytest.mark.parametrize("make", CYCLES, ids=lambda make: make.__name__)
def test_cycles_are_freed(
    make: Callable[[Canary], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    gc.collect()
    before = Counter(type(thing) for thing in gc.get_objects())
    after: Counter[type] = Counter()

    def is_freed() -> bool:
        nonlocal after
        after = Counter(type(thing) for thing in left_over(make))
        return all(count <= before[kind] for kind, count in after.items())

    until(is_freed, f"it is freed: {after}")


def test_a_finalizer_may_use_what_the_collector_is_about_to_clear() -> None:
    seen: list[object] = []

    class Own(tress.threading.Barrier):
        def __init__(self) -> None:
            super().__init__(1, self.act)

        def act(self) -> None:
            seen.append("acted")

        def __del__(self) -> None:
            seen.append(self.wait())

    Own()
    gc.collect()
    assert seen == ["acted", 0]


def test_the_interrupted_waits_of_threads_that_are_gone_are_forgotten() -> None:
    """A condition or a lock that lives long does not collect the waits that timed out on it."""
    lock, condition = tress.threading.Lock(), tress.threading.Condition()
    lock.acquire()
    keeper = blocked(lock.acquire)

    def time_out() -> None:
        for _ in range(200):
            lock.acquire(timeout=0.00001)
            with condition:
                condition.wait(0.00001)

    time_out()
    before = resident_bytes()
    for runner in [Runner(time_out) for _ in range(20)]:
        runner.result()
    assert resident_bytes() - before < 4_000_000
    lock.release()
    keeper.result()
