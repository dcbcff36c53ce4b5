"""Every blocking call of tress, each as a scene: what makes it block, what lets it through, and how
to tell that nothing was lost.

A round of a scene is `prepare`, then `call` in one thread and `release` in another, then `settle`
with what the call returned (an empty list when it was interrupted). `settle` fails if something was
lost or taken, and leaves the scene ready for the next round.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tress
import tress.queue
import tress.threading
from tests.threads.ordering import BOUND_S, Runner, until
from tress.concurrent import futures


class Scene:
    """See the module's documentation."""

    call: Callable[..., object]
    """The blocking call; where something is taken, a native one, so that no signal can come between
    its return and the storing of what it returned.
    """
    arguments: tuple[object, ...] = ()
    sleeps_in_the_standard_library = False
    """The standard library misses a signal that comes when a wait is about to sleep."""

    def context(self) -> AbstractContextManager[object]:
        """What the call is made in."""
        return nullcontext()

    def prepare(self) -> None:
        """Makes the next call block."""

    def release(self) -> None:
        """Lets one call through; the thread need not be the one that prepared."""
        raise NotImplementedError

    def settle(self, results: list[object]) -> None:
        """Sees that nothing was lost. `release` has been called once, or not at all yet."""
        raise NotImplementedError

    def waiters(self) -> int:
        """How many wait, where the object tells."""
        return 0


class _Holder:
    """A thread that holds a lock until it is told to let go."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._let_go = threading.Event()
        held = threading.Event()
        self._runner = Runner(self._hold, held)
        assert held.wait(BOUND_S)

    def _hold(self, held: threading.Event) -> None:
        with self._lock:
            held.set()
            assert self._let_go.wait(BOUND_S)

    def release(self) -> None:
        self._let_go.set()
        self._runner.result()


class LockScene(Scene):
    make: Callable[[], Any] = tress.threading.Lock

    def __init__(self) -> None:
        self.lock = type(self).make()
        self.call = self.lock.acquire
        self._holder: _Holder | None = None

    def prepare(self) -> None:
        self._holder = _Holder(self.lock)

    def release(self) -> None:
        assert self._holder is not None
        self._holder.release()
        self._holder = None

    def settle(self, results: list[object]) -> None:
        if self._holder is not None:
            assert not results
            assert not self.lock.acquire(False)
            self.release()
        if results:
            assert results == [True]
            assert not Runner(self.lock.acquire, False).result()
            self.lock.release()
        assert self.lock.acquire(False)
        self.lock.release()

    def waiters(self) -> int:
        count: int = self.lock.statistics()["waiters"]
        return count


class RLockScene(LockScene):
    make = tress.threading.RLock


class LockWithTimeoutScene(LockScene):
    arguments = (True, 1000.0)


class SemaphoreScene(Scene):
    def __init__(self) -> None:
        self.semaphore = tress.threading.Semaphore(0)
        self.call = self.semaphore.acquire
        self._released = 0

    def release(self) -> None:
        self._released += 1
        self.semaphore.release()

    def settle(self, results: list[object]) -> None:
        assert len(results) + self.semaphore._value == self._released
        while self.semaphore.acquire(False):
            pass
        self._released = 0

    def waiters(self) -> int:
        count: int = self.semaphore.statistics()["waiters"]
        return count


class BoundedSemaphoreScene(SemaphoreScene):
    def __init__(self) -> None:
        super().__init__()
        self.semaphore = tress.threading.BoundedSemaphore(1)
        self.semaphore.acquire()
        self.call = self.semaphore.acquire


class EventScene(Scene):
    def __init__(self) -> None:
        self.event = tress.threading.Event()
        self.call = self.event.wait
        self._released = False

    def release(self) -> None:
        self._released = True
        self.event.set()

    def settle(self, results: list[object]) -> None:
        assert self.event.is_set() == self._released
        assert not results or (results == [True] and self._released)
        self.event.clear()
        self._released = False

    def waiters(self) -> int:
        count: int = self.event.statistics()["waiters"]
        return count


class ConditionScene(Scene):
    """A second waiter, that came later, gets the notification if the call does not."""

    def __init__(self, lock: Any = None) -> None:
        self.condition = tress.threading.Condition(lock)
        self.call = self.condition.wait
        self._second: Runner | None = None
        self._released = False

    def context(self) -> AbstractContextManager[object]:
        return self.condition

    def _wait_in(self) -> object:
        with self.condition:
            return self.condition.wait()

    def release(self) -> None:
        self._second = Runner(self._wait_in)
        until(self._second_waits, "the second waits")
        with self.condition:
            self._released = True
            self.condition.notify()

    def _second_waits(self) -> bool:
        assert self._second is not None
        second = (self._second.thread.ident, "Condition.wait")
        return second in [(wait.thread_ident, wait.operation) for wait in tress.waits()]

    def settle(self, results: list[object]) -> None:
        second, self._second = self._second, None
        if self._released:
            assert second is not None
            if results:
                assert results == [True]
                assert self.waiters() == 1
                with self.condition:
                    self.condition.notify()
            assert second.result() is True
        else:
            assert not results
        self._released = False
        assert self.waiters() == 0
        assert Runner(self.condition.acquire, False).result() is True
        self.condition = tress.threading.Condition(self._fresh_lock())
        self.call = self.condition.wait

    def _fresh_lock(self) -> Any:
        return None

    def waiters(self) -> int:
        count: int = self.condition.statistics()["waiters"]
        return count


class ConditionOfLockScene(ConditionScene):
    def __init__(self) -> None:
        super().__init__(tress.threading.Lock())

    def _fresh_lock(self) -> Any:
        return tress.threading.Lock()


class ConditionOfStandardLockScene(ConditionScene):
    def __init__(self) -> None:
        super().__init__(threading.Lock())

    def _fresh_lock(self) -> Any:
        return threading.Lock()


class BarrierScene(Scene):
    def __init__(self) -> None:
        self.barrier = tress.threading.Barrier(2)
        self.call = self.barrier.wait
        self._other: Runner | None = None

    def release(self) -> None:
        self._other = Runner(self.barrier.wait)

    def settle(self, results: list[object]) -> None:
        other, self._other = self._other, None
        if other is not None:
            until(
                lambda: not other.is_running or self.barrier.n_waiting == 1,
                "the other passes or waits",
            )
            if results:
                assert sorted((*results, other.result())) == [0, 1]
            elif other.is_running:
                # The interrupted call took its arrival back: the other waits for another one.
                assert sorted((self.barrier.wait(), other.result())) == [0, 1]
        assert not self.barrier.broken
        assert self.barrier.n_waiting == 0

    def waiters(self) -> int:
        return self.barrier.n_waiting


class GetScene(Scene):
    make: Callable[[], Any] = tress.queue.Queue

    def __init__(self) -> None:
        self.queue = type(self).make()
        self.call = self.queue.get
        self._put: list[object] = []
        self._number = 0

    def release(self) -> None:
        self._number += 1
        self._put.append(self._number)
        self.queue.put(self._number)

    def settle(self, results: list[object]) -> None:
        while not self.queue.empty():
            results.append(self.queue.get_nowait())
        assert results == self._put
        self._put = []

    def waiters(self) -> int:
        count: int = self.queue.statistics()["getters"]
        return count


class LifoGetScene(GetScene):
    make = tress.queue.LifoQueue


class PriorityGetScene(GetScene):
    make = tress.queue.PriorityQueue


class SimpleGetScene(GetScene):
    make = tress.queue.SimpleQueue


class GetWithTimeoutScene(GetScene):
    arguments = (True, 1000.0)


class PutScene(Scene):
    def __init__(self) -> None:
        self.queue: Any = tress.queue.Queue(1)
        self.call = self.queue.put
        self.arguments = ("ours",)
        self._taken: list[object] = []

    def prepare(self) -> None:
        self.queue.put("first")

    def release(self) -> None:
        self._taken.append(self.queue.get())

    def settle(self, results: list[object]) -> None:
        assert self._taken in ([], ["first"])
        left = []
        while not self.queue.empty():
            left.append(self.queue.get_nowait())
        # A put that is interrupted in the moment in which its item goes in has put it.
        expected = [["first", "ours"]] if results else [["first"], ["first", "ours"]]
        assert [*self._taken, *left] in expected
        self._taken = []

    def waiters(self) -> int:
        count: int = self.queue.statistics()["putters"]
        return count


class QueueJoinScene(Scene):
    def __init__(self) -> None:
        self.queue: Any = tress.queue.Queue()
        self.call = self.queue.join

    def prepare(self) -> None:
        self.queue.put(1)
        self.queue.get()

    def release(self) -> None:
        self.queue.task_done()

    def settle(self, results: list[object]) -> None:
        if self.queue.unfinished_tasks:
            assert not results
            self.queue.task_done()
        self.queue.join()

    def waiters(self) -> int:
        count: int = self.queue.statistics()["joiners"]
        return count


class ResultScene(Scene):
    method = "result"

    def prepare(self) -> None:
        self.future: Any = futures.Future()
        self.call = getattr(self.future, self.method)

    def release(self) -> None:
        self.future.set_result(self.future)

    def settle(self, results: list[object]) -> None:
        if not self.future.done():
            assert not results
            self.release()
        assert self.future.result(0) is self.future
        assert self.future.exception(0) is None


class ExceptionScene(ResultScene):
    method = "exception"


class WaitScene(ResultScene):
    def prepare(self) -> None:
        super().prepare()
        self.call = futures.wait
        self.arguments = ([self.future],)


class AsCompletedScene(ResultScene):
    def prepare(self) -> None:
        super().prepare()
        self.call = lambda: list(futures.as_completed([self.future]))


class JoinScene(Scene):
    sleeps_in_the_standard_library = True
    method = "join"

    def prepare(self) -> None:
        self._event = tress.threading.Event()
        self.thread = tress.threading.Thread(target=self._event.wait, daemon=True)
        self.thread.start()
        self.call = getattr(self.thread, self.method)

    def release(self) -> None:
        self._event.set()

    def settle(self, results: list[object]) -> None:
        self._event.set()
        self.thread.join(BOUND_S)
        assert not self.thread.is_alive()
        assert self.thread.result() is True


class ThreadResultScene(JoinScene):
    method = "result"


class JoinWithTimeoutScene(JoinScene):
    arguments = (1000.0,)


class TimerJoinScene(Scene):
    sleeps_in_the_standard_library = True

    def prepare(self) -> None:
        self.timer = tress.threading.Timer(1000, print)
        self.timer.daemon = True
        self.timer.start()
        self.call = self.timer.join

    def release(self) -> None:
        self.timer.cancel()

    def settle(self, results: list[object]) -> None:
        self.timer.cancel()
        self.timer.join(BOUND_S)
        assert not self.timer.is_alive()


class ShutdownScene(Scene):
    sleeps_in_the_standard_library = True

    def prepare(self) -> None:
        self._event = tress.threading.Event()
        self.executor = futures.ThreadPoolExecutor(2)
        self.futures = [self.executor.submit(self._event.wait) for _ in range(3)]
        self.call = self.executor.shutdown

    def release(self) -> None:
        self._event.set()

    def settle(self, results: list[object]) -> None:
        self._event.set()
        assert [future.result(BOUND_S) for future in self.futures] == [True] * 3
        self.executor.shutdown()


class MapScene(ShutdownScene):
    sleeps_in_the_standard_library = False

    def prepare(self) -> None:
        super().prepare()
        self.call = lambda: list(self.executor.map(lambda number: self._event.wait(), range(4)))


SCENES: list[type[Scene]] = [
    LockScene,
    LockWithTimeoutScene,
    RLockScene,
    SemaphoreScene,
    BoundedSemaphoreScene,
    EventScene,
    ConditionScene,
    ConditionOfLockScene,
    ConditionOfStandardLockScene,
    BarrierScene,
    GetScene,
    GetWithTimeoutScene,
    LifoGetScene,
    PriorityGetScene,
    SimpleGetScene,
    PutScene,
    QueueJoinScene,
    ResultScene,
    ExceptionScene,
    WaitScene,
    AsCompletedScene,
    JoinScene,
    JoinWithTimeoutScene,
    ThreadResultScene,
    TimerJoinScene,
    ShutdownScene,
    MapScene,
]
