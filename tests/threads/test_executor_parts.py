"""What programs do with the parts of an executor, on both libraries."""

from __future__ import annotations

import concurrent.futures.thread
import queue
import sys
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest

from tests.threads.futures_of import LIBRARIES, Gate, collect
from tests.threads.ordering import BOUND_S, Runner, until
from tress.concurrent.futures import ThreadPoolExecutor

standard: Any = concurrent.futures.thread


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """The standard `concurrent.futures`, and tress's."""
    name: str = request.param
    return LIBRARIES[name]


def test_the_parts_of_the_pool(library: ModuleType, gate: Gate) -> None:
    with library.ThreadPoolExecutor(1) as pool:
        pool.submit(gate)
        gate.await_entered()
        pool.submit(int)
        assert pool._work_queue.qsize() == 1
        assert not pool._work_queue.empty()
        (thread,) = pool._threads
        assert standard._threads_queues[thread] is pool._work_queue
        assert pool._broken is False
        assert pool._initializer is None if sys.version_info < (3, 14) else True
        gate.open()
        # Some versions of the standard library count one idle worker several times.
        until(lambda: pool._idle_semaphore._value >= 1, "the worker is idle")
        assert pool._work_queue.empty()


def test_work_items_of_the_standard_library(library: ModuleType, gate: Gate) -> None:
    """A work item can be taken out of the queue, run, and put into it."""
    with library.ThreadPoolExecutor(1) as pool:
        pool.submit(gate)
        gate.await_entered()
        future = pool.submit(collect, 1, 2, 3, 4, named=5)
        item = pool._work_queue.get_nowait()
        assert type(item) is standard._WorkItem
        assert item.future is future
        assert pool._work_queue.empty()
        with pytest.raises(standard.queue.Empty):
            pool._work_queue.get_nowait()
        pool._work_queue.put(item)
        gate.open()
        assert future.result(BOUND_S) == ((1, 2, 3, 4), {"named": 5})


def test_a_replaced_queue(library: ModuleType, gate: Gate) -> None:
    """The well-known way to bound a pool."""
    with library.ThreadPoolExecutor(1) as pool:
        pool._work_queue = queue.Queue(maxsize=1)
        first = pool.submit(gate, 1)
        gate.await_entered()
        second = pool.submit(gate, 2)
        assert type(first) is library.Future
        assert pool._work_queue.full()
        submitting = Runner(pool.submit, gate, 3)
        submitting.await_blocked()
        gate.open()
        third = submitting.result()
        assert [future.result(BOUND_S) for future in (first, second, third)] == [1, 2, 3]
        assert list(pool.map(int, "123")) == [1, 2, 3]
    assert not any(thread.is_alive() for thread in pool._threads)


def test_own_threads(library: ModuleType, gate: Gate) -> None:
    """A subclass that starts the threads itself, on the standard library's worker."""

    class Own(library.ThreadPoolExecutor):  # type: ignore[name-defined, misc]
        def _adjust_thread_count(self) -> None:
            if self._idle_semaphore.acquire(timeout=0):
                return
            if len(self._threads) >= self._max_workers:
                return
            if sys.version_info >= (3, 14):
                begin: tuple[Any, ...] = (self._create_worker_context(), self._work_queue)
            else:
                begin = (self._work_queue, self._initializer, self._initargs)
            work_queue = self._work_queue

            def wake(_: object) -> None:
                work_queue.put(None)

            thread = threading.Thread(
                target=standard._worker,
                name="own",
                args=(weakref.ref(self, wake), *begin),
                daemon=True,
            )
            thread.start()
            self._threads.add(thread)

    with Own(2) as pool:
        futures = [pool.submit(gate, number) for number in range(5)]
        gate.await_entered(2)
        assert {thread.name for thread in pool._threads} == {"own"}
        assert len(pool._threads) == 2
        assert type(futures[0]) is library.Future
        gate.open()
        assert [future.result(BOUND_S) for future in futures] == list(range(5))
    assert not any(thread.is_alive() for thread in pool._threads)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="worker contexts came with 3.14")
def test_own_contexts(library: ModuleType) -> None:
    events: list[Any] = []

    class Context(standard.WorkerContext):  # type: ignore[misc]
        def initialize(self) -> None:
            events.append("initialize")

        def finalize(self) -> None:
            events.append("finalize")

        def run(self, task: Any) -> Any:
            events.append(task)
            return super().run(task)

    class Own(library.ThreadPoolExecutor):  # type: ignore[name-defined, misc]
        @classmethod
        def prepare_context(cls, initializer: Any, initargs: Any, *, option: int) -> Any:
            events.append(option)
            _, resolve = standard.WorkerContext.prepare(initializer, initargs)
            return (lambda: Context(initializer, initargs)), resolve

    with Own(1, option=3) as pool:
        assert pool.submit(pow, 2, 3).result(BOUND_S) == 8
    assert events == [3, "initialize", (pow, (2, 3), {}), "finalize"]


def test_a_thread_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from tress._thread import Thread

    def fails(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    pool = ThreadPoolExecutor(2)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", fails)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(int)
    assert len(pool._threads) == 0
    # The next call finds a thread to be started.
    assert pool.submit(int).result(BOUND_S) == 0
    pool.shutdown()
