"""One event and one condition for threads and coroutines."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import tress.asyncio
from tests.coroutines.sharing import bounded, in_thread, reached, waiting
from tests.threads.ordering import Runner, blocked, until
from tress.threading import Condition, Event, Lock, RLock

LOCKS: list[Callable[[], Any]] = [Lock, RLock]


def test_an_event_that_a_thread_sets(library: ModuleType) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(event.await_()) for _ in range(3)]
        waits = blocked(event.wait)
        await reached(lambda: waiting(event) == 4)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert waiting(event) == 3

        def set_and_clear() -> None:
            event.set()
            event.clear()

        await asyncio.to_thread(set_and_clear)
        assert await asyncio.gather(*tasks[1:]) == [True, True]
        assert waits.result()
        event.set()
        coroutine = event.await_()
        with pytest.raises(StopIteration):
            coroutine.send(None)

    event = Event()
    bounded(library, main())


def test_an_event_that_a_coroutine_sets_for_several_loops() -> None:
    async def main() -> None:
        event.set()

    event = Event()
    waits = [in_thread(library, event.await_()) for library in (asyncio, tress.asyncio)]
    waits.append(Runner(event.wait))
    until(lambda: waiting(event) == 3, "all wait")
    bounded(asyncio, main())
    assert [wait.result() for wait in waits] == [True, True, True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_of_a_closed_loop(library: ModuleType) -> None:
    async def wait() -> None:
        await event.await_()

    event = Event()
    loop = library.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # of the task that is never finished
    loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0))
    waits = blocked(event.wait)
    loop.close()
    event.set()
    assert waits.result()
    del loop
    gc.collect()
    assert waiting(event) == 0


@pytest.mark.parametrize("make", LOCKS)
def test_threads_and_coroutines_notify_each_other(
    library: ModuleType, make: Callable[[], Any]
) -> None:
    async def main() -> None:
        async with condition:
            notifier = Runner(notify)
            await condition.await_()
            assert said == ["thread"]
            assert condition._is_owned()
        notifier.result()

        def wait() -> None:
            with condition:
                assert condition.wait_for(lambda: "task" in said, 30)

        waits = Runner(wait)
        await reached(lambda: waiting(condition) == 1)
        async with condition:
            said.append("task")
            condition.notify_all()
        await asyncio.to_thread(waits.result)

    def notify() -> None:
        with condition:
            said.append("thread")
            condition.notify()

    said: list[str] = []
    condition = Condition(make())
    bounded(library, main())


@pytest.mark.parametrize("make", LOCKS)
def test_there_is_one_order_of_threads_and_coroutines(make: Callable[[], Any]) -> None:
    condition = Condition(make())
    order: list[int] = []

    def wait(number: int) -> None:
        with condition:
            condition.wait()
            order.append(number)

    async def await_(number: int) -> None:
        async with condition:
            assert await condition.await_() is True
            order.append(number)

    runs: list[Runner] = []
    for kind in (asyncio, None, tress.asyncio, None, asyncio):
        number = len(runs)
        runs.append(Runner(wait, number) if kind is None else in_thread(kind, await_(number)))
        until(lambda: waiting(condition) == len(runs), "the next one waits")
    for number in range(len(runs)):
        with condition:
            condition.notify()
        runs[number].result()
    assert order == list(range(len(runs)))


@pytest.mark.parametrize("make", LOCKS)
def test_a_cancelled_wait_has_the_lock_first(library: ModuleType, make: Callable[[], Any]) -> None:
    async def wait() -> None:
        async with condition:
            try:
                await condition.await_()
            finally:
                held.append(condition._is_owned())

    async def main() -> None:
        task = asyncio.create_task(wait())
        await reached(lambda: waiting(condition) == 1)
        async with condition:
            for _ in range(3):
                task.cancel("give up")  # more than once: it still waits for the lock
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert not task.done()
            assert not held
            assert waiting(condition) == 0
        with pytest.raises(asyncio.CancelledError):
            await task
        assert held == [True]
        async with condition:
            pass

    held: list[bool] = []
    condition = Condition(make())
    bounded(library, main())
    assert condition.acquire(blocking=False)


@pytest.mark.parametrize("make", LOCKS)
@pytest.mark.parametrize("released", [False, True])
def test_a_notification_that_comes_with_a_cancellation_is_passed_on(
    library: ModuleType, make: Callable[[], Any], released: bool
) -> None:
    async def wait() -> bool:
        async with condition:
            return await condition.await_()

    async def main() -> None:
        first = asyncio.create_task(wait())
        await reached(lambda: waiting(condition) == 1)
        second = asyncio.create_task(wait())
        await reached(lambda: waiting(condition) == 2)
        async with condition:
            condition.notify()
            if not released:
                first.cancel()
        if released:
            first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second

    condition = Condition(make())
    bounded(library, main())
    assert condition.acquire(blocking=False)


def test_an_rlock_is_released_altogether_and_taken_as_often(library: ModuleType) -> None:
    async def main() -> None:
        async with condition, condition:
            waits = asyncio.create_task(notify())
            await condition.await_()
            assert condition._lock.statistics()["count"] == 2
        await waits

    async def notify() -> None:
        async with condition:
            condition.notify()

    condition = Condition()
    bounded(library, main())
    assert condition.acquire(blocking=False)


def test_await_for(library: ModuleType) -> None:
    async def wait() -> int:
        async with condition:
            return await condition.await_for(lambda: len(said) if len(said) > 2 else 0)

    async def main() -> None:
        waits = asyncio.create_task(wait())
        for number in range(3):
            await reached(lambda: waiting(condition) == 1)
            async with condition:
                said.append(number)
                condition.notify()
        assert await waits == 3

    said: list[int] = []
    condition = Condition()
    bounded(library, main())


def test_errors(library: ModuleType) -> None:
    import threading

    async def main() -> None:
        for condition in (Condition(), Condition(Lock())):
            with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
                await condition.await_()
        condition = Condition()
        with condition, pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
            await condition.await_()
        async with condition:
            # The task holds it, and its thread would stop the loop.
            with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
                condition.wait()
        foreign = Condition(threading.Lock())
        with foreign, pytest.raises(RuntimeError, match="not around a lock of another kind"):
            await foreign.await_()
        with pytest.raises(AttributeError):
            await foreign.aacquire()

    bounded(library, main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("make", LOCKS)
def test_a_condition_of_a_closed_loop(library: ModuleType, make: Callable[[], Any]) -> None:
    async def wait() -> None:
        async with condition:
            await condition.await_()

    def wait_in_thread() -> bool:
        with condition:
            return condition.wait(30)

    condition = Condition(make())
    loop = library.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # of the task that is never finished
    loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0))
    waits = Runner(wait_in_thread)
    until(lambda: waiting(condition) == 2, "both wait")
    loop.close()
    with condition:
        condition.notify()
    assert waits.result(), "the notification went on to the next"
    del loop
    gc.collect()
    assert condition.acquire(blocking=False)
    assert waiting(condition) == 0


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    make=st.sampled_from(LOCKS),
    loops=st.lists(st.sampled_from([asyncio, tress.asyncio]), min_size=1, max_size=2),
    threads=st.integers(0, 2),
)
@pytest.mark.bound(300)
def test_random_cancellation_loses_no_notification(
    seed: int, make: Callable[[], Any], loops: list[ModuleType], threads: int
) -> None:
    """Tokens are put under the lock, one notification each: all of them are taken in the end."""
    each = 40
    condition = Condition(make())
    tokens: list[int] = []
    sides = len(loops) + threads

    async def take() -> int:
        async with condition:
            while not tokens:
                await condition.await_()
            return tokens.pop()

    async def take_many(chance: random.Random) -> list[int]:
        taken: list[int] = []
        while len(taken) < each:
            tasks = [asyncio.create_task(take()) for _ in range(min(3, each - len(taken)))]
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
            for task in tasks:
                if chance.random() < 0.4:
                    task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, int):
                    taken.append(result)
        return taken

    def take_in_thread() -> list[int]:
        taken = []
        for _ in range(each):
            with condition:
                while not tokens:
                    condition.wait()
                taken.append(tokens.pop())
        return taken

    running = [
        in_thread(library, take_many(random.Random(seed + side)))
        for side, library in enumerate(loops)
    ]
    running += [Runner(take_in_thread) for _ in range(threads)]
    for number in range(sides * each):
        with condition:
            tokens.append(number)
            condition.notify()
    taken = [number for run in running for number in run.result()]
    assert sorted(taken) == list(range(sides * each))
