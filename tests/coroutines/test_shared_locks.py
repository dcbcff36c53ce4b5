"""One lock, one semaphore for threads and coroutines: exclusion, order, owners, cancellation."""

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
from tress.threading import BoundedSemaphore, Lock, RLock, Semaphore

LOCKS: list[Callable[[], Any]] = [Lock, RLock]
EVERY: list[Callable[[], Any]] = [Lock, RLock, Semaphore, BoundedSemaphore]


def is_free(thing: Any) -> bool:
    """Whether nobody holds it."""
    numbers = thing.statistics()
    return not (numbers.get("count") or numbers.get("locked") or numbers.get("value", 1) == 0)


@pytest.mark.parametrize("make", EVERY)
def test_a_coroutine_waits_for_a_thread(library: ModuleType, make: Callable[[], Any]) -> None:
    async def main() -> None:
        task = asyncio.create_task(thing.aacquire())
        await reached(lambda: waiting(thing) == 1)
        await asyncio.to_thread(leave.set)
        assert await task is True
        holder.result()
        # A task of its own has it now; a plain lock and a permit may be given back by anybody.
        if make is not RLock:
            thing.release()

    def hold() -> None:
        with thing:
            leave.wait()

    thing, leave = make(), tress.threading.Event()
    holder = blocked(hold)
    bounded(library, main())
    assert is_free(thing) == (make is not RLock)


@pytest.mark.parametrize("make", EVERY)
def test_a_thread_waits_for_a_coroutine(library: ModuleType, make: Callable[[], Any]) -> None:
    async def main() -> None:
        async with thing:
            assert not is_free(thing)
            assert not await asyncio.to_thread(thing.acquire, False)
            acquirer = Runner(thing.acquire)
            await reached(lambda: waiting(thing) == 1)
            assert acquirer.is_running
        assert acquirer.result()

    thing = make()
    bounded(library, main())
    assert not is_free(thing)


@pytest.mark.parametrize("make", EVERY)
def test_what_is_free_is_had_without_a_turn_of_the_loop(make: Callable[[], Any]) -> None:
    async def main() -> None:
        ran: list[int] = []
        asyncio.get_running_loop().call_soon(ran.append, 1)
        async with thing:
            assert not is_free(thing)
        assert await thing.aacquire() is True
        thing.release()
        assert is_free(thing)
        assert not ran

    thing = make()
    asyncio.run(main())


def test_a_lock_is_taken_where_no_loop_runs_but_not_waited_for() -> None:
    for thing in (Lock(), Semaphore()):
        with pytest.raises(StopIteration):
            thing.__aenter__().__await__().__next__()
        assert not is_free(thing)
        with pytest.raises(RuntimeError, match="no running event loop"):
            thing.aacquire().send(None)
        assert waiting(thing) == 0
    with pytest.raises(RuntimeError, match="no task runs here"):
        RLock().__aenter__()


@pytest.mark.parametrize("make", EVERY)
def test_there_is_one_order_of_threads_and_coroutines(make: Callable[[], Any]) -> None:
    thing = make()
    order: list[int] = []

    def hold(number: int) -> None:
        with thing:
            order.append(number)

    async def ahold(number: int) -> None:
        async with thing:
            order.append(number)

    with thing:
        runs: list[Runner] = []
        for kind in (asyncio, None, tress.asyncio, None, asyncio):
            number = len(runs)
            runs.append(Runner(hold, number) if kind is None else in_thread(kind, ahold(number)))
            until(lambda: waiting(thing) == len(runs), "the next one waits")
    for run in runs:
        run.result()
    assert order == list(range(len(runs)))


@pytest.mark.parametrize("make", EVERY)
def test_a_cancelled_acquire_passes_its_turn_on(
    library: ModuleType, make: Callable[[], Any]
) -> None:
    async def acquire() -> None:
        async with thing:
            pass

    async def main() -> None:
        for late in (False, True):
            async with thing:
                first = asyncio.create_task(acquire())
                await reached(lambda: waiting(thing) == 1)
                second = asyncio.create_task(acquire())
                await reached(lambda: waiting(thing) == 2)
                if not late:
                    first.cancel()
            if late:
                first.cancel()  # its turn has come, and it has not run since
            with pytest.raises(asyncio.CancelledError):
                await first
            await second
            assert is_free(thing)
            assert waiting(thing) == 0

    thing = make()
    bounded(library, main())


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("late", [False, True])
def test_a_loop_that_is_closed_keeps_no_turn(
    library: ModuleType, make: Callable[[], Any], late: bool
) -> None:
    async def wait() -> None:
        await thing.aacquire()

    thing = make()
    loop = library.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # of the task that is never finished
    with thing:
        task = loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(0))
        acquirer = blocked(thing.acquire)
        assert waiting(thing) == 2
        if not late:
            loop.close()
    loop.close()
    assert acquirer.result()
    del loop, task
    gc.collect()
    assert waiting(thing) == 0


def test_an_rlock_is_a_tasks(library: ModuleType) -> None:
    async def other() -> None:
        with pytest.raises(RuntimeError):
            lock.release()
        async with lock:
            pass

    async def main() -> None:
        task = asyncio.current_task()
        async with lock, lock:
            assert await lock.aacquire()
            # What it calls may use the lock the usual way.
            with lock:
                assert lock.statistics()["count"] == 4
            assert lock.statistics() == {"owner": None, "task": id(task), "count": 3, "waiters": 0}
            assert lock._is_owned()
            assert f"owner=task-{id(task):#x} count=3" in repr(lock)
            waits = asyncio.create_task(other())
            await reached(lambda: waiting(lock) == 1)
            lock.release()
        await waits
        assert not lock._is_owned()
        # Its thread is another owner, for which it waits as for any.
        with lock:
            acquires = asyncio.create_task(lock.aacquire())
            await reached(lambda: waiting(lock) == 1)
            acquires.cancel()
            with pytest.raises(asyncio.CancelledError):
                await acquires

    lock = RLock()
    bounded(library, main())
    assert is_free(lock)
    assert lock.acquire(blocking=False)


def test_a_lock_tells_which_task_has_it(library: ModuleType) -> None:
    async def main() -> None:
        async with lock:
            task = id(asyncio.current_task())
            assert lock.statistics() == {"locked": True, "owner": None, "task": task, "waiters": 0}
            assert f"owner=task-{task:#x}" in repr(lock)

    lock = Lock()
    bounded(library, main())
    assert lock.statistics() == {"locked": False, "owner": None, "task": None, "waiters": 0}


def test_a_task_that_holds_a_lock_makes_no_cycle(library: ModuleType) -> None:
    """Its thread waits for what another holds that waits for it: and yet somebody releases it."""

    async def main() -> None:
        await of_task.aacquire()

        def hold_and_wait() -> None:
            with of_thread:
                held.set()
                with of_task:
                    pass

        def release_later() -> None:
            until(lambda: waiting(of_thread) == 1, "the loop's thread waits")
            of_task.release()

        waits = Runner(hold_and_wait)
        await asyncio.to_thread(held.wait)
        await reached(lambda: waiting(of_task) == 1)
        releases = Runner(release_later)
        with of_thread:
            pass
        waits.result()
        releases.result()

    of_task, of_thread, held = Lock(), Lock(), tress.threading.Event()
    bounded(library, main())


@pytest.mark.parametrize("make", LOCKS)
def test_deadlocks_of_threads_are_found_after_tasks_had_the_locks(
    library: ModuleType, make: Callable[[], Any]
) -> None:
    async def use() -> None:
        for lock in locks:
            async with lock:
                pass
            await lock.aacquire()
            lock.release()

    def take(first: Any, second: Any) -> None:
        with first:
            met.wait()
            with second:
                pass

    locks = [make(), make()]
    bounded(library, use())
    met = tress.threading.Barrier(2)
    runs = [Runner(take, *locks), Runner(take, *reversed(locks))]
    raised = 0
    for run in runs:
        try:
            run.result()
        except tress.DeadlockError:
            raised += 1
    assert raised >= 1


def test_a_semaphore_gives_as_many_permits_as_it_has(library: ModuleType) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(semaphore.aacquire()) for _ in range(5)]
        await reached(lambda: waiting(semaphore) == 3)
        await asyncio.to_thread(semaphore.release, 2)
        await reached(lambda: sum(task.done() for task in tasks) == 4)
        assert waiting(semaphore) == 1
        semaphore.release()
        assert await asyncio.gather(*tasks) == [True] * 5
        assert semaphore.statistics()["value"] == 0

    semaphore = Semaphore(2)
    bounded(library, main())


def test_leaving_calls_a_release_of_the_class(library: ModuleType) -> None:
    class Counting(Semaphore):
        released = 0

        def release(self, n: int = 1) -> None:
            self.released += n
            super().release(n)

    async def main() -> None:
        async with semaphore:
            pass

    semaphore = Counting()
    bounded(library, main())
    assert semaphore.released == 1


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    make=st.sampled_from(
        [Lock, RLock, Semaphore, lambda: Semaphore(2), lambda: BoundedSemaphore(3)]
    ),
    loops=st.lists(st.sampled_from([asyncio, tress.asyncio]), min_size=1, max_size=3),
    threads=st.integers(0, 2),
)
@pytest.mark.bound(300)
def test_random_cancellation_loses_no_permit(
    seed: int, make: Callable[[], Any], loops: list[ModuleType], threads: int
) -> None:
    thing = make()
    most = thing.statistics().get("value", 1)
    inside: list[object] = []
    most_inside = 0

    def enter(who: object) -> None:
        nonlocal most_inside
        inside.append(who)
        most_inside = max(most_inside, len(inside))

    def hold_in_thread(chance: random.Random) -> None:
        for _ in range(100):
            who = object()
            if thing.acquire(timeout=chance.choice([-1, 0.0001]) if make in LOCKS else None):
                enter(who)
                inside.remove(who)
                thing.release()

    async def hold(chance: random.Random) -> None:
        async with thing:
            who = object()
            enter(who)
            try:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                inside.remove(who)

    async def many(chance: random.Random) -> None:
        for _ in range(40):
            tasks = [asyncio.create_task(hold(chance)) for _ in range(3)]
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            for task in tasks:
                if chance.random() < 0.5:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    running = [
        in_thread(library, many(random.Random(seed + side))) for side, library in enumerate(loops)
    ]
    running += [Runner(hold_in_thread, random.Random(seed - side)) for side in range(threads)]
    for run in running:
        run.result()
    assert is_free(thing)
    assert waiting(thing) == 0
    assert thing.statistics().get("value", 1) == most
    assert 1 <= most_inside <= most
