"""Condition, Event, Barrier between processes."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import synchronize as standard
from typing import Any

import pytest

import tress
from tests.processes import jobs
from tests.processes.jobs import BOUND_S
from tests.threads.ordering import blocked, until

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")

Start = Callable[..., Any]


@pytest.fixture(params=["Lock", "RLock", None])
def condition(request: pytest.FixtureRequest, ctx: Any) -> Any:
    return ctx.Condition(request.param and getattr(ctx, request.param)())


def waiting(condition: Any) -> int:
    count: int = condition._waiters.waiting()
    return count


def await_waiters(condition: Any, count: int) -> None:
    until(lambda: waiting(condition) == count, f"{count} wait")
    # Whoever counts as a waiter has the lock until it sleeps.
    with condition:
        assert waiting(condition) == count


def in_wait(condition: Any) -> bool:
    with condition:
        outcome: bool = condition.wait(BOUND_S)
        return outcome


def test_they_are_what_the_standard_ones_are(ctx: Any) -> None:
    assert isinstance(ctx.Condition(), standard.Condition)
    assert isinstance(ctx.Event(), standard.Event)
    assert isinstance(ctx.Barrier(1), standard.Barrier)


def test_as_many_go_on_as_are_notified(ctx: Any, start: Start, condition: Any) -> None:
    ready = ctx.Semaphore(0)
    receiver, sender = ctx.Pipe(duplex=False)
    for _ in range(3):
        start(jobs.wait_for_condition, ready, condition, sender)
    waiters = [blocked(in_wait, condition) for _ in range(2)]
    for _ in range(3):
        assert ready.acquire(timeout=BOUND_S)
    await_waiters(condition, 5)
    with condition:
        condition.notify(2)
    until(lambda: condition._waiters.under_way() == 0, "both have noticed")
    assert waiting(condition) == 3
    with condition:
        condition.notify_all()
    assert waiting(condition) == 0
    assert all(waiter.result() for waiter in waiters)
    for _ in range(3):
        assert receiver.poll(BOUND_S)
        assert receiver.recv() is True


def test_a_notification_before_the_wait_is_none(condition: Any) -> None:
    with condition:
        condition.notify_all()
        assert condition.wait(0.05) is False
        assert condition.wait(0) is False
        assert condition._lock._semlock._is_mine()
    assert waiting(condition) == 0


def test_only_a_holder_may(condition: Any) -> None:
    with pytest.raises(AssertionError, match="must acquire"):
        condition.wait()
    with pytest.raises(AssertionError, match="lock is not owned"):
        condition.notify()


def test_a_recursive_lock_is_released_and_held_again(ctx: Any) -> None:
    condition = ctx.Condition()
    with condition, condition:
        waiter = blocked(in_wait, condition)
        assert waiting(condition) == 0, "the lock is held"
        assert condition.wait(0.2) is False
        assert condition._lock._semlock._count() == 2
        assert waiting(condition) == 1
        condition.notify()
    assert waiter.result() is True


def test_wait_for(ctx: Any, condition: Any) -> None:
    number = ctx.RawValue("i", 0)

    def wait() -> Any:
        with condition:
            return condition.wait_for(lambda: number.value == 2, BOUND_S)

    waiter = blocked(wait)
    for value in (1, 2):
        await_waiters(condition, 1)
        with condition:
            number.value = value
            condition.notify()
    assert waiter.result() is True


def test_a_killed_waiter_holds_nobody_up(ctx: Any, start: Start, condition: Any) -> None:
    ready = ctx.Semaphore(0)
    child = start(jobs.wait_holding_nothing, ready, condition)
    assert ready.acquire(timeout=BOUND_S)
    await_waiters(condition, 1)
    child.kill()
    child.join(BOUND_S)
    waiter = blocked(in_wait, condition)
    await_waiters(condition, 2)
    with condition:
        condition.notify()  # the killed one's
        condition.notify()
    assert waiter.result() is True
    with condition:
        condition.notify_all()
    assert waiting(condition) == 0


def test_the_lock_of_a_killed_holder_is_passed_on(ctx: Any, start: Start, condition: Any) -> None:
    waiter = blocked(in_wait, condition)
    await_waiters(condition, 1)
    taken = ctx.Event()
    holder = start(jobs.take_and_stay, taken, condition)
    assert taken.wait(BOUND_S)
    holder.kill()
    with pytest.warns(tress.OwnerDiedWarning):
        condition.acquire()
    condition.notify()
    condition.release()
    assert waiter.result() is True


def test_a_wait_that_raises_holds_the_lock(ctx: Any, start: Start) -> None:
    condition, taken = ctx.Condition(ctx.Lock(robust="raise")), ctx.Event()

    def wait() -> bool:
        with condition:
            with pytest.raises(tress.OwnerDiedError):
                condition.wait()
            return bool(condition._lock._semlock._is_mine())

    waiter = blocked(wait)
    await_waiters(condition, 1)
    holder = start(jobs.take_notify_and_stay, taken, condition)
    assert taken.wait(BOUND_S)
    until(lambda: wait_of("SemLock.acquire"), "it wants the lock again")
    holder.kill()
    assert waiter.result() is True
    assert condition.acquire(False)


def wait_of(operation: str) -> bool:
    return any(wait.operation == operation for wait in tress.waits())


def test_an_event(ctx: Any, start: Start) -> None:
    event, ready = ctx.Event(), ctx.Semaphore(0)
    assert not event.is_set()
    assert event.wait(0) is False
    assert event.wait(0.05) is False
    receiver, sender = ctx.Pipe(duplex=False)
    for _ in range(2):
        start(jobs.wait_for_event, ready, event, sender)
    waiter = blocked(event.wait)
    for _ in range(2):
        assert ready.acquire(timeout=BOUND_S)
    event.set()
    assert event.is_set()
    assert event.wait() is True
    assert waiter.result() is True
    for _ in range(2):
        assert receiver.poll(BOUND_S)
        assert receiver.recv() is True
    event.clear()
    assert not event.is_set()
    if hasattr(standard.Event, "__repr__") and standard.Event.__repr__ is not object.__repr__:
        assert repr(event) == f"<Event at {id(event):#x} unset>"


def test_a_waiter_goes_on_although_the_event_is_cleared(ctx: Any) -> None:
    event = ctx.Event()
    waiter = blocked(event.wait)
    event.set()
    event.clear()
    assert waiter.result() is True


def test_a_barrier(ctx: Any, start: Start) -> None:
    barrier = ctx.Barrier(3)
    receiver, sender = ctx.Pipe(duplex=False)
    for _ in range(2):
        start(jobs.meet, barrier, sender)
    arrived = [barrier.wait(BOUND_S)]
    for _ in range(2):
        assert receiver.poll(BOUND_S)
        arrived.append(receiver.recv())
    assert sorted(arrived) == [0, 1, 2]
