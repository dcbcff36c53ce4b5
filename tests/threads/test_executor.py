"""ThreadPoolExecutor beside the standard library's, and what tress's does more."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import contextvars
import gc
import logging
import os
import sys
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest

from tests.threads.futures_of import LIBRARIES, Gate, collect
from tests.threads.ordering import BOUND_S, Runner, until
from tress.concurrent.futures import Future, ThreadPoolExecutor, wait
from tress.concurrent.futures.thread import BrokenThreadPool

standard: Any = concurrent.futures.thread


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """The standard `concurrent.futures`, and tress's."""
    name: str = request.param
    return LIBRARIES[name]


def test_what_it_is() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
        assert isinstance(pool, concurrent.futures.Executor)
        future = pool.submit(int)
        assert type(future) is Future
        assert isinstance(future, concurrent.futures.Future)


@pytest.mark.parametrize("count", range(7))
@pytest.mark.parametrize("names", ["", "a", "ab", "abcdef"])
def test_arguments(library: ModuleType, count: int, names: str) -> None:
    args = tuple(object() for _ in range(count))
    kwargs = {name: object() for name in names}
    with library.ThreadPoolExecutor(1) as pool:
        assert pool.submit(collect, *args, **kwargs).result(BOUND_S) == (args, kwargs)


def test_names_of_parameters_are_the_callables_own(library: ModuleType) -> None:
    with library.ThreadPoolExecutor(1) as pool:
        result = pool.submit(collect, fn=1, self=2, args=3, kwargs=4).result(BOUND_S)
        assert result == ((), {"fn": 1, "self": 2, "args": 3, "kwargs": 4})
        for attempt in (pool.submit, lambda: pool.submit(fn=collect)):
            with pytest.raises(TypeError, match="submit"):
                attempt()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_a_call_raises_is_its_futures(library: ModuleType, error: type[BaseException]) -> None:
    def fails() -> None:
        raise error("told")

    with library.ThreadPoolExecutor(1) as pool:
        raised = pool.submit(fails).exception(BOUND_S)
        assert type(raised) is error
        assert raised.args == ("told",)
        assert raised.__traceback__ is not None
        # The thread goes on.
        assert pool.submit(int).result(BOUND_S) == 0
        assert len(pool._threads) == 1


def test_a_callable_that_cannot_be_called(library: ModuleType) -> None:
    with library.ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.submit(None).exception(BOUND_S), TypeError)
        assert isinstance(pool.submit(pow).exception(BOUND_S), TypeError)


@pytest.mark.parametrize("value", [0, -1, -(10**30)])
def test_too_few_workers(library: ModuleType, value: int) -> None:
    with pytest.raises(ValueError, match=r"^max_workers must be greater than 0$"):
        library.ThreadPoolExecutor(value)


def test_bad_initializers_and_options(library: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"^initializer must be a callable$"):
        library.ThreadPoolExecutor(1, initializer=123)
    with pytest.raises(TypeError, match="option"):
        library.ThreadPoolExecutor(1, option=1)


def test_the_default_size(library: ModuleType) -> None:
    if sys.version_info >= (3, 13):
        cpus = os.process_cpu_count()
    else:
        cpus = os.cpu_count()
    assert library.ThreadPoolExecutor()._max_workers == min(32, (cpus or 1) + 4)


def test_threads_are_started_when_none_is_idle(library: ModuleType, gate: Gate) -> None:
    with library.ThreadPoolExecutor(3) as pool:
        assert len(pool._threads) == 0
        for number in range(1, 8):
            pool.submit(gate)
            assert len(pool._threads) == min(number, 3)
        gate.await_entered(3)
        assert pool._work_queue.qsize() == 4
        gate.open()


def test_an_idle_thread_is_used_again(library: ModuleType) -> None:
    with library.ThreadPoolExecutor(5) as pool:
        for number in range(10):
            assert pool.submit(pow, number, 2).result(BOUND_S) == number**2
            until(lambda: pool._idle_semaphore._value == 1, "the thread is idle")
        assert len(pool._threads) == 1


def test_all_workers_are_called_for_blocking_work(library: ModuleType) -> None:
    """However idle workers are woken, as many calls run at once as there are workers."""
    with library.ThreadPoolExecutor(4) as pool:
        for _ in range(30):
            meeting = threading.Barrier(4)
            futures = [pool.submit(meeting.wait, BOUND_S) for _ in range(4)]
            assert sorted(future.result(BOUND_S) for future in futures) == [0, 1, 2, 3]
        assert len(pool._threads) == 4


def test_names_of_threads(library: ModuleType, gate: Gate) -> None:
    with library.ThreadPoolExecutor(2, "mine") as pool:
        names = [pool.submit(lambda: (gate(), threading.current_thread().name)[1]) for _ in "ab"]
        gate.await_entered(2)
        gate.open()
        assert sorted(name.result(BOUND_S) for name in names) == ["mine_0", "mine_1"]
    with library.ThreadPoolExecutor(1) as first, library.ThreadPoolExecutor(1) as second:
        numbers = []
        for pool in (first, second):
            name = pool.submit(lambda: threading.current_thread().name).result(BOUND_S)
            kind, number, index = name.replace("_", "-").split("-")
            assert (kind, index) == ("ThreadPoolExecutor", "0")
            numbers.append(int(number))
        assert numbers[1] == numbers[0] + 1


def test_the_size_may_be_changed(library: ModuleType, gate: Gate) -> None:
    with library.ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            pool.submit(gate)
        assert len(pool._threads) == 1
        pool._max_workers = 2
        pool.submit(gate)
        assert len(pool._threads) == 2
        gate.await_entered(2)
        gate.open()


def test_the_initializer_runs_in_each_thread(library: ModuleType, gate: Gate) -> None:
    names = []

    def begin(prefix: str) -> None:
        names.append(prefix + threading.current_thread().name)

    with library.ThreadPoolExecutor(2, "t", begin, ("begun ",)) as pool:
        pool.submit(gate)
        pool.submit(gate)
        gate.await_entered(2)
        assert sorted(names) == ["begun t_0", "begun t_1"]
        gate.open()


def test_a_failing_initializer_breaks_the_pool(
    library: ModuleType, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def begin() -> None:
        gate()
        raise ValueError("in the initializer")

    with caplog.at_level(logging.CRITICAL, "concurrent.futures"):
        pool = library.ThreadPoolExecutor(1, initializer=begin)
        futures = [pool.submit(int) for _ in range(3)]
        gate.await_entered()
        gate.open()
        message = "A thread initializer failed, the thread pool is not usable anymore"
        for future in futures:
            error = future.exception(BOUND_S)
            assert isinstance(error, BrokenThreadPool)
            assert str(error) == message
        with pytest.raises(BrokenThreadPool, match=message):
            pool.submit(int)
        assert pool._broken == message
        pool.shutdown()
    (record,) = caplog.records
    assert record.getMessage() == "Exception in initializer:"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "in the initializer"


def test_futures_that_were_cancelled_survive_a_broken_pool(gate: Gate) -> None:
    def begin() -> None:
        gate()
        raise ValueError

    pool = ThreadPoolExecutor(1, initializer=begin)
    first, second, third = (pool.submit(int) for _ in range(3))
    gate.await_entered()
    assert second.cancel()
    gate.open()
    assert isinstance(first.exception(BOUND_S), BrokenThreadPool)
    assert isinstance(third.exception(BOUND_S), BrokenThreadPool)
    assert wait([first, second, third], BOUND_S).not_done == set()
    assert second.cancelled()
    pool.shutdown()


def test_shutdown(library: ModuleType) -> None:
    pool = library.ThreadPoolExecutor(2)
    futures = [pool.submit(pow, number, 2) for number in range(20)]
    pool.shutdown()
    assert [future.result(0) for future in futures] == [number**2 for number in range(20)]
    assert not any(thread.is_alive() for thread in pool._threads)
    with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
        pool.submit(int)
    with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
        pool.map(int, "1")
    pool.shutdown()
    pool.shutdown(wait=False, cancel_futures=True)
    assert pool._shutdown is True


def test_shutdown_of_an_unused_pool(library: ModuleType) -> None:
    with library.ThreadPoolExecutor() as pool:
        assert pool._shutdown is False
    assert pool._threads == set()


def test_shutdown_without_waiting(library: ModuleType, gate: Gate) -> None:
    pool = library.ThreadPoolExecutor(1)
    futures = [pool.submit(gate, number) for number in range(3)]
    gate.await_entered()
    pool.shutdown(wait=False)
    assert not any(future.done() for future in futures)
    gate.open()
    assert [future.result(BOUND_S) for future in futures] == [0, 1, 2]
    for thread in pool._threads:
        thread.join(BOUND_S)
        assert not thread.is_alive()


def test_shutdown_that_cancels(library: ModuleType, gate: Gate) -> None:
    pool = library.ThreadPoolExecutor(2)
    futures = [pool.submit(gate, number) for number in range(10)]
    gate.await_entered(2)
    shutting = Runner(lambda: pool.shutdown(cancel_futures=True))
    until(futures[-1].cancelled, "the last call is cancelled")
    gate.open()
    shutting.result()
    assert [future.cancelled() for future in futures] == [False] * 2 + [True] * 8
    assert [future.result(0) for future in futures[:2]] == [0, 1]


def test_who_waits_for_what_shutdown_cancels_is_told(gate: Gate) -> None:
    pool = ThreadPoolExecutor(1)
    futures = [pool.submit(gate) for _ in range(4)]
    gate.await_entered()
    waiting = Runner(wait, futures, BOUND_S)
    until(lambda: futures[3].statistics()["observers"] == 1, "wait() waits")
    pool.shutdown(wait=False, cancel_futures=True)
    gate.open()
    done, not_done = waiting.result()
    assert (done, not_done) == (set(futures), set())


def test_a_call_whose_thread_is_being_started_counts_as_begun() -> None:
    for _ in range(50):
        pool = ThreadPoolExecutor(1)
        futures = [pool.submit(int) for _ in range(3)]
        pool.shutdown(cancel_futures=True)
        assert futures[0].result(0) == 0
        assert all(future.done() for future in futures)


def test_callbacks_of_what_shutdown_cancels_may_use_the_pool(gate: Gate) -> None:
    seen: list[Any] = []

    def late(future: Any) -> None:
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(int)
        seen.append(future)

    pool = ThreadPoolExecutor(1)
    pool.submit(gate)
    gate.await_entered()
    future = pool.submit(int)
    future.add_done_callback(late)
    pool.shutdown(wait=False, cancel_futures=True)
    assert seen == [future]


def test_a_collected_executor_ends_its_threads(library: ModuleType, gate: Gate) -> None:
    pool = library.ThreadPoolExecutor(2)
    futures = [pool.submit(gate, number) for number in range(6)]
    threads = pool._threads
    gate.await_entered(2)
    seen = weakref.ref(pool)
    del pool
    gc.collect()
    assert seen() is None
    gate.open()
    assert [future.result(BOUND_S) for future in futures] == list(range(6))
    for thread in threads:
        thread.join(BOUND_S)
        assert not thread.is_alive()


def test_an_executor_in_a_cycle_is_collected(library: ModuleType) -> None:
    pool = library.ThreadPoolExecutor(1)
    pool.itself = pool
    assert pool.submit(int).result(BOUND_S) == 0
    (thread,) = pool._threads
    del pool
    gc.collect()
    thread.join(BOUND_S)
    assert not thread.is_alive()


def test_the_pool_holds_nothing_of_a_call_that_has_ended() -> None:
    class Thing:
        def method(self, other: Thing, *, named: Thing) -> int:
            return 1

    for count in (1, 6):
        with ThreadPoolExecutor(1) as pool:
            things = [Thing() for _ in range(3)]
            seen = [weakref.ref(thing) for thing in things]
            first, second, third = things
            extra: Any = [object() for _ in range(count - 1)]
            fn: Any = lambda *args, **kwargs: 1  # noqa: E731 - takes whatever it is given
            future = pool.submit(fn, first, second, *extra, named=third)
            del things, first, second, third, fn
            assert future.result(BOUND_S) == 1
            # Not later than the result.
            assert [reference() for reference in seen] == [None] * 3


def test_the_pool_holds_no_result(library: ModuleType) -> None:
    class Thing:
        pass

    with library.ThreadPoolExecutor(1) as pool:
        seen = weakref.ref(pool.submit(Thing).result(BOUND_S))
        until(lambda: seen() is None, "the result is dropped")


def test_cancelled_calls_are_not_made(library: ModuleType, gate: Gate) -> None:
    made: list[int] = []
    with library.ThreadPoolExecutor(1) as pool:
        pool.submit(gate)
        gate.await_entered()
        futures = [pool.submit(made.append, number) for number in range(6)]
        assert all(future.cancel() for future in futures[::2])
        gate.open()
    assert made == [1, 3, 5]
    assert {future._state for future in futures[::2]} == {"CANCELLED_AND_NOTIFIED"}


def test_running_and_callbacks(library: ModuleType, gate: Gate) -> None:
    seen: list[Any] = []
    with library.ThreadPoolExecutor(1) as pool:
        future = pool.submit(gate, 7)
        gate.await_entered()
        assert future.running()
        assert not future.cancel()
        future.add_done_callback(lambda future: seen.append((threading.current_thread(), future)))
        gate.open()
        assert future.result(BOUND_S) == 7
    assert seen == [(next(iter(pool._threads)), future)]


def test_calls_that_submit(library: ModuleType) -> None:
    with library.ThreadPoolExecutor(1) as pool:
        inner = pool.submit(lambda: pool.submit(pow, 2, 5)).result(BOUND_S)
        assert inner.result(BOUND_S) == 32
        later: Any = library.Future()
        pool.submit(int).add_done_callback(lambda _: later.set_result(pool.submit(pow, 2, 6)))
        assert later.result(BOUND_S).result(BOUND_S) == 64


def test_many_threads_submit(library: ModuleType) -> None:
    with library.ThreadPoolExecutor(3) as pool:

        def several(base: int) -> list[int]:
            futures = [pool.submit(pow, base + number, 2) for number in range(200)]
            return [future.result(BOUND_S) for future in futures]

        runners = [Runner(several, base) for base in range(0, 1000, 200)]
        results = [result for runner in runners for result in runner.result()]
    assert results == [number**2 for number in range(1000)]


def test_one_thread_does_not_keep_the_interpreter(gate: Gate) -> None:
    """Calls of C functions let others run, however many of them are queued."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate)
        gate.await_entered()
        futures = [pool.submit(int) for _ in range(20_000)]
        gate.open()
        # This thread gets the interpreter before the queue is empty, and goes on in Python.
        ran = 0
        while not futures[-1].done():
            ran += 1
        assert ran > 0


def test_a_call_that_submits_itself_does_not_keep_the_interpreter() -> None:
    """A worker that never rests lets others have the interpreter when they ask for it.

    A thread asks only after a switch interval without a chance, so one that lets go for a moment
    again and again, too short for the other to wake up, would keep it for ever.
    """
    others = 50
    calls = 0
    over = False
    with ThreadPoolExecutor(1) as pool:

        def again() -> None:
            nonlocal calls
            calls += 1
            for _ in range(100):
                pass
            if not over:
                pool.submit(again)

        pool.submit(again)
        # Each of these lets go of the interpreter and asks for it again.
        for _ in range(others):
            os.close(os.dup(0))
        # Some thousand calls fit into a switch interval.
        assert calls < others * 100_000
        over = True


def test_context_variables_do_not_travel(library: ModuleType) -> None:
    variable = contextvars.ContextVar("variable", default="default")
    with library.ThreadPoolExecutor(1) as pool:
        variable.set("mine")
        first = pool.submit(variable.get).result(BOUND_S)
        pool.submit(variable.set, "theirs").result(BOUND_S)
        second = pool.submit(variable.get).result(BOUND_S)
    inherits = getattr(sys.flags, "thread_inherit_context", False)
    assert (first, second) == ("mine" if inherits else "default", "theirs")


# What must not end a worker.


def test_a_future_that_somebody_else_ends(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(gate, "late")
        gate.await_entered()
        future.set_result("early")
        gate.open()
        assert pool.submit(int).result(BOUND_S) == 0
        assert future.result() == "early"
        assert len(pool._threads) == 1
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"]


def test_a_callback_that_exits(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    def leaves(future: Any) -> None:
        raise SystemExit

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(gate)
        future.add_done_callback(leaves)
        gate.open()
        assert pool.submit(int).result(BOUND_S) == 0
        assert len(pool._threads) == 1
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"]


def test_a_broken_work_item(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(int).result(BOUND_S) == 0
        pool._work_queue.put(object())
        assert pool.submit(int).result(BOUND_S) == 0
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"]


def test_a_shared_future_in_the_pool(gate: Gate) -> None:
    """A future whose condition was given away is begun, ended and cancelled under it."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate)
        gate.await_entered()
        futures = [pool.submit(pow, 2, number) for number in range(4)]
        waiters = [future._waiters for future in futures]
        told: list[str] = []

        class Waiter:
            def add_result(self, future: Any) -> None:
                told.append("result")

            def add_cancelled(self, future: Any) -> None:
                told.append("cancelled")

        for each in waiters:
            each.append(Waiter())
        assert futures[1].cancel()
        gate.open()
        assert wait(futures, BOUND_S).not_done == set()
    assert told == ["result", "cancelled", "result", "result"]


# What it tells.


def test_statistics_and_repr(gate: Gate) -> None:
    pool = ThreadPoolExecutor(2)
    assert pool.statistics() == {
        "threads": 0,
        "idle": 0,
        "queued": 0,
        "high_water": 0,
        "submitted": 0,
        "done": 0,
        "cancelled": 0,
    }
    futures = [pool.submit(gate) for _ in range(5)]
    gate.await_entered(2)
    futures[-1].cancel()
    assert pool.statistics() == {
        "threads": 2,
        "idle": 0,
        "queued": 3,
        "high_water": 3,
        "submitted": 5,
        "done": 0,
        "cancelled": 0,
    } | {"high_water": pool.statistics()["high_water"]}
    assert 3 <= pool.statistics()["high_water"] <= 5
    place = f"<ThreadPoolExecutor at {id(pool):#x} state="
    assert repr(pool) == f"{place}open threads=2/2 idle=0 queued=3>"
    gate.open()
    until(lambda: pool.statistics()["idle"] == 2, "both workers are idle")
    numbers = pool.statistics()
    assert (numbers["done"], numbers["cancelled"], numbers["queued"]) == (4, 1, 0)
    pool.shutdown()
    assert repr(pool) == f"{place}shutdown threads=2/2 idle=0 queued=0>"
