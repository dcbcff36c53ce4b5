"""Tasks that wait for one another in a circle get an error that says so, and nobody else does."""

from __future__ import annotations

import asyncio as standard
import functools
import gc
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tress
import tress.asyncio as asyncio

HERE = __file__
SHORT = 0.01
"""Seconds after which what would wait for ever is ended."""


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    """A warning that a test does not expect fails it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", tress.DeadlockWarning)
        yield


@pytest.fixture
def mode() -> Iterator[Callable[[Any], None]]:
    yield tress.deadlock
    tress.deadlock("raise")


def owner(lock: Any) -> Any:
    """The task that is known to hold the lock."""
    return lock._owner


async def turns(count: int = 5) -> None:
    """Let the other tasks run until each of them waits."""
    for _ in range(count):
        await asyncio.sleep(0)


async def hold_and_take(held: Any, wanted: Any) -> str:
    async with held:
        await turns()
        async with wanted:
            return "both"


def test_two_locks_in_opposite_order_raise() -> None:
    async def main() -> tuple[Any, Any]:
        a, b = asyncio.Lock(), asyncio.Lock()
        first = asyncio.create_task(hold_and_take(a, b), name="first")
        second = asyncio.create_task(hold_and_take(b, a), name="second")
        outcome = await asyncio.gather(first, second, return_exceptions=True)
        assert not a.locked()
        assert not b.locked()
        assert outcome[0] == "both", "the other one goes on"
        error = outcome[1]
        assert isinstance(error, tress.DeadlockError)
        assert [link.task for link in error.chain] == [second, first]
        assert [link.holds for link in error.chain] == [b, a]
        assert [link.wants for link in error.chain] == [a, b]
        return outcome[1], str(outcome[1])

    error, text = asyncio.run(main())
    lines = text.splitlines()
    assert lines[0] == "deadlock: 2 tasks wait for one another"
    assert lines[1].startswith("second in MainThread")
    here = hold_and_take.__code__.co_firstlineno
    for link in error.chain:
        assert link.held_since == f"{HERE}:{here + 1} in hold_and_take: async with held:"
        assert (link.stack[-1].filename, link.stack[-1].lineno) == (HERE, here + 3)


@pytest.mark.parametrize("count", [3, 50])
def test_a_long_circle_raises_once(count: int) -> None:
    async def main() -> None:
        locks = [asyncio.Lock() for _ in range(count)]
        pairs = zip(locks, locks[1:] + locks[:1], strict=True)
        tasks = [hold_and_take(held, wanted) for held, wanted in pairs]
        outcome = await asyncio.gather(*tasks, return_exceptions=True)
        raised = [one for one in outcome if isinstance(one, tress.DeadlockError)]
        assert len(raised) == 1
        assert len(raised[0].chain) == count
        assert outcome.count("both") == count - 1

    asyncio.run(main())


def test_a_lock_that_the_task_holds_itself_raises() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        async with lock:
            with pytest.raises(tress.DeadlockError, match="holds itself") as raised:
                await lock.acquire()
            assert lock.locked()
        assert not lock.locked()
        (link,) = raised.value.chain
        assert link.holds is link.wants is lock
        await lock.acquire()
        lock.release()

    asyncio.run(main())


def test_the_line_that_took_a_lock_is_not_the_one_that_waits_for_it_again() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        try:
            await lock.acquire()
        finally:
            lock.release()

    with pytest.raises(tress.DeadlockError) as raised:
        asyncio.run(main())
    first = main.__code__.co_firstlineno + 2
    assert raised.value.chain[0].held_since == f"{HERE}:{first} in main: await lock.acquire()"


def test_a_task_that_is_awaited_is_part_of_the_circle() -> None:
    async def child(lock: Any) -> None:
        async with lock:
            pass

    async def main() -> None:
        lock = asyncio.Lock()
        async with lock:
            await asyncio.create_task(child(lock), name="child")

    with pytest.raises(tress.DeadlockError, match=r"(?m)^child .*\n  is awaited by Task-\d+ in"):
        asyncio.run(main())


def test_tasks_that_are_gathered_are_part_of_it_once_all_that_still_run_are() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        go_on = asyncio.Event()
        began: list[str] = []

        async def first() -> None:
            began.append("first")
            async with lock:
                pass

        async def last() -> None:
            await go_on.wait()
            assert began == ["first"]
            async with lock:
                pass

        async with lock:
            # When the first one waits for the lock, the last one could still fail.
            gathered = asyncio.gather(first(), asyncio.sleep(0), last())
            asyncio.get_running_loop().call_later(SHORT, go_on.set)
            await gathered

    with pytest.raises(tress.DeadlockError) as raised:
        asyncio.run(main())
    assert [link.stack[-1].name for link in raised.value.chain] == ["last", "main"]


def test_gathered_tasks_one_of_which_may_fail_are_no_circle() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def waits() -> None:
            async with lock:
                pass

        async def fails() -> None:
            await turns(10)
            raise KeyError

        async with lock:
            with pytest.raises(KeyError):
                await asyncio.gather(waits(), fails())

    asyncio.run(main())


def test_a_task_in_a_condition_holds_up_who_keeps_its_lock() -> None:
    async def waits(other: Any, condition: Any) -> None:
        async with other, condition:
            await condition.wait()

    async def main() -> None:
        condition, other = asyncio.Condition(asyncio.Lock()), asyncio.Lock()
        task = asyncio.create_task(waits(other, condition))
        await turns()
        async with condition:
            with pytest.raises(tress.DeadlockError) as raised:
                await other.acquire()
            assert raised.value.chain[1].task is task
            condition.notify()
        await task

    asyncio.run(main())


def test_a_task_in_a_condition_never_gets_the_error() -> None:
    """It would find itself in a block without the lock of it."""

    async def main() -> None:
        condition, other = asyncio.Condition(asyncio.Lock()), asyncio.Lock()

        async def waits() -> str:
            async with other, condition:
                await condition.wait()
                assert condition.locked()
            return "woken"

        async def keeps() -> None:
            async with condition:
                condition.notify()
                # That one, notified, has not looked for the lock yet.
                await other.acquire()

        task = asyncio.create_task(waits())
        await turns()
        with pytest.raises(tress.DeadlockError):
            await keeps()
        assert await task == "woken"

    asyncio.run(main())


def test_a_wait_with_a_timeout_is_none() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        async with lock:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(lock.acquire(), SHORT)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SHORT):
                    await lock.acquire()
            task = standard.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(SHORT, lambda: task.cancel())
            with pytest.raises(asyncio.CancelledError):
                await lock.acquire()
            task.uncancel()
            with pytest.raises(tress.DeadlockError):
                await lock.acquire()

    asyncio.run(main())


def test_a_timeout_of_any_of_the_tasks_ends_a_circle() -> None:
    async def impatient(held: Any, wanted: Any) -> str:
        async with held:
            await turns()
            try:
                async with asyncio.timeout(SHORT):
                    await wanted.acquire()
            except TimeoutError:
                return "gave up"
            wanted.release()
            return "both"

    async def main() -> None:
        for patient_first in (True, False):
            a, b = asyncio.Lock(), asyncio.Lock()
            pair = [impatient(a, b), hold_and_take(b, a)]
            outcome = await asyncio.gather(*(pair[::-1] if patient_first else pair))
            assert sorted(outcome) == ["both", "gave up"]

    asyncio.run(main())


def test_wait_for_around_more_than_the_acquire_is_a_timeout_too() -> None:
    async def main() -> None:
        a, b = asyncio.Lock(), asyncio.Lock()
        with_timeout = asyncio.wait_for(hold_and_take(a, b), SHORT)
        outcome = await asyncio.gather(with_timeout, hold_and_take(b, a), return_exceptions=True)
        assert isinstance(outcome[0], TimeoutError)
        assert outcome[1] == "both"

    asyncio.run(main())


def test_a_lock_that_a_callback_releases_is_a_signal() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for schedule in (lambda call: loop.call_later(SHORT, call), loop.call_soon):
            for wrap in (lambda call: call, lambda call: lambda: call(), functools.partial):
                lock = asyncio.Lock()
                await lock.acquire()
                schedule(wrap(lock.release))
                await lock.acquire()

    asyncio.run(main())


def test_a_lock_that_was_once_released_by_another_task_is_in_no_circle() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def release() -> None:
            lock.release()

        await lock.acquire()
        await asyncio.create_task(release())
        await lock.acquire()
        assert owner(lock) is None
        task = asyncio.create_task(turns())
        task.add_done_callback(lambda _: lock.release())
        await lock.acquire()

    asyncio.run(main())


def test_a_task_that_ended_with_the_lock_is_nobodys_owner() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        task = asyncio.create_task(lock.acquire())
        await task
        assert lock.locked()
        waiting = asyncio.create_task(lock.acquire())
        await turns()
        lock.release()
        await waiting
        lock.release()
        # And it is no signal for that.
        async with lock:
            with pytest.raises(tress.DeadlockError):
                await lock.acquire()

    asyncio.run(main())


def test_a_lock_does_not_keep_the_task_that_took_it() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def takes() -> None:
            await lock.acquire()
            raise KeyError

        told: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["message"]))
        task = asyncio.create_task(takes())
        ended = weakref.ref(task)
        await turns()
        del task
        gc.collect()
        assert ended() is None
        assert told == ["Task exception was never retrieved"]
        assert lock.locked()

    asyncio.run(main())


def test_a_task_that_is_being_cancelled_is_not_waiting() -> None:
    async def main() -> None:
        a, b = asyncio.Lock(), asyncio.Lock()
        other = asyncio.create_task(hold_and_take(b, a))
        await asyncio.sleep(0)
        async with a:
            await turns()
            other.cancel()
            async with b:
                pass
        with pytest.raises(asyncio.CancelledError):
            await other

    asyncio.run(main())


def test_whoever_waits_for_those_in_a_circle_is_not_in_it(mode: Callable[[Any], None]) -> None:
    async def main() -> None:
        a, b = asyncio.Lock(), asyncio.Lock()
        mode("off")
        pair = [asyncio.create_task(hold_and_take(*two)) for two in ((a, b), (b, a))]
        await turns(10)
        mode("raise")
        third = asyncio.create_task(hold_and_take(asyncio.Lock(), a))
        await turns(10)
        assert not third.done()
        pair[0].cancel()
        assert await third == "both"

    asyncio.run(main())


def test_modes(mode: Callable[[Any], None]) -> None:
    async def main() -> list[Any]:
        a, b = asyncio.Lock(), asyncio.Lock()
        pair = [asyncio.create_task(hold_and_take(*two)) for two in ((a, b), (b, a))]
        await turns(10)
        assert not any(task.done() for task in pair)
        pair[0].cancel()
        return await asyncio.gather(*pair, return_exceptions=True)

    mode("off")
    assert asyncio.run(main())[1] == "both"
    mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert asyncio.run(main())[1] == "both"
    assert [warning.category for warning in caught] == [tress.DeadlockWarning]
    assert caught[0].filename == HERE


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_an_eager_task_owns_what_it_takes() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(vars(standard)["eager_task_factory"])
        lock = asyncio.Lock()
        go_on = asyncio.Event()

        async def child() -> None:
            async with lock:
                await go_on.wait()

        task = asyncio.create_task(child())
        assert owner(lock) is task
        asyncio.get_running_loop().call_soon(go_on.set)
        async with lock:
            assert owner(lock) is standard.current_task()
        await task

    asyncio.run(main())


def test_outside_of_a_task_nobody_owns_a_lock() -> None:
    lock = asyncio.Lock()
    with pytest.raises(StopIteration):
        lock.acquire().send(None)
    assert lock.locked()
    assert owner(lock) is None
    lock.release()
    assert not lock.locked()
