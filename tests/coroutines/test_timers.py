"""Calls that are made later."""

from __future__ import annotations

import contextvars
import gc
import sys
import time
import weakref
from fractions import Fraction
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.turns import FAR, Called, Thing, turn


def test_they_come_in_the_order_of_their_times(loop: Any) -> None:
    seen: list[int] = []
    for n in (5, 1, 4, 2, 3):
        loop.call_later(n / 1000, seen.append, n)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert seen == [1, 2, 3, 4, 5]


def test_not_before_their_time(loop: Any) -> None:
    seen: list[float] = []

    def note() -> None:
        seen.append(loop.time())
        loop.stop()

    due = loop.time() + 0.02
    loop.call_at(due, note)
    loop.run_forever()
    assert seen[0] >= due - 1e-6


@pytest.mark.parametrize("delay", [0, -1, -0.0, 0.0, Fraction(0), False])
def test_no_delay_is_the_next_turn(delay: Any, loop: Any) -> None:
    seen: list[Any] = []
    loop.call_soon(loop.call_later, delay, seen.append, delay)
    turn(loop)
    assert seen == []
    turn(loop)
    assert seen == [delay]


def test_what_is_due_comes_after_what_is_ready(loop: Any) -> None:
    seen: list[str] = []
    loop.call_later(0, seen.append, "due")
    loop.call_soon(seen.append, "ready")
    turn(loop)
    assert seen == ["ready", "due"]


def test_a_clock_of_the_programs_own(loop: Any) -> None:
    now = 100.0
    loop.time = lambda: now
    seen: list[str] = []
    handle = loop.call_later(10, seen.append, "after ten")
    loop.call_at(105, seen.append, "at 105")
    assert handle.when() == 110
    turn(loop)
    assert seen == []
    now = 105.0
    turn(loop)
    assert seen == ["at 105"]
    now = 1000.0
    turn(loop)
    assert seen == ["at 105", "after ten"]
    # Put back, it is the usual one.
    del loop.time
    assert loop.time() == pytest.approx(time.monotonic(), abs=60)
    assert loop.call_later(0, int).when() == pytest.approx(loop.time(), abs=60)


def test_one_that_is_due_cancels_the_next(loop: Any) -> None:
    now = 0.0
    loop.time = lambda: now
    called = Called()
    handles: list[Any] = []
    loop.call_at(1, lambda: handles[0].cancel())
    handles.append(loop.call_at(2, called))
    now = 3.0
    turn(loop)
    assert called.arguments == []


@pytest.mark.parametrize("is_first", [True, False])
def test_a_cancelled_one_keeps_nobody_awake(is_first: bool, loop: Any) -> None:
    loop.call_later(0 if is_first else FAR, pytest.fail).cancel()
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


def test_many_that_are_cancelled_are_not_kept(loop: Any) -> None:
    kept = loop.call_later(FAR, int)
    references = []
    for n in range(2000):
        handle = loop.call_later(FAR - n / 1000, int)
        references.append(weakref.ref(handle))
        handle.cancel()
    del handle
    turn(loop)
    gc.collect()
    assert sum(reference() is not None for reference in references) <= 100
    assert not kept.cancelled()


def test_cancelled_among_others(loop: Any) -> None:
    now = 0.0
    loop.time = lambda: now
    seen: list[int] = []
    handles = [loop.call_at(n, seen.append, n) for n in range(1, 1001)]
    for handle in handles:
        if handle.when() % 10:
            handle.cancel()
    turn(loop)
    now = 2000.0
    turn(loop)
    assert seen == list(range(10, 1001, 10))


@pytest.mark.parametrize("delay", [1e10, float("inf"), 10**6])
def test_a_very_long_time(delay: float, loop: Any) -> None:
    handle = loop.call_later(delay, pytest.fail)
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert handle.when() >= delay
    handle.cancel()


@pytest.mark.parametrize("delay", [None, "1", ()])
def test_a_bad_delay(delay: Any, loop: Any) -> None:
    with pytest.raises(TypeError):
        loop.call_later(delay, print)


def test_no_time(loop: Any) -> None:
    with pytest.raises(TypeError, match="when cannot be None"):
        loop.call_at(None, print)


def test_cancelled_timers_do_not_pile_up(own_loop: Any) -> None:
    class Kept:
        pass

    handles = [own_loop.call_later(3600, print) for _ in range(1000)]
    there = [weakref.ref(handle) for handle in handles]
    for handle in handles[:900]:
        handle.cancel()
    del handle, handles[:900]
    gc.collect()
    left = sum(ref() is not None for ref in there)
    # The loop holds those that wait, and of the others no more than of those.
    assert 100 <= left <= 200 + 64
    assert [handle._scheduled for handle in handles] == [True] * 100


def test_a_timer_that_is_called_is_scheduled_no_more(loop: Any) -> None:
    handle = loop.call_later(0, loop.stop)
    assert handle._scheduled
    loop.run_forever()
    assert not handle._scheduled


def test_a_subclass_may_have_another_clock() -> None:
    class Frozen(tress.asyncio.EventLoop):
        def time(self) -> float:
            return 5.0

    loop = Frozen()
    try:
        handle = loop.call_later(10, print)
        assert handle.when() == 15.0
        handle.cancel()
    finally:
        loop.close()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="a time like that counted as passed")
def test_a_time_that_is_no_number_ends_the_loop(loop: Any) -> None:
    loop.call_at(float("nan"), print)
    with pytest.raises(ValueError, match="NaN"):
        loop.run_forever()


def test_equal_times_come_in_the_order_of_adding() -> None:
    """Of timers, sleepers and handles of the standard library's, which has no order of its own."""
    loop: Any = tress.asyncio.EventLoop()
    loop.time = lambda: 100.0
    seen: list[int] = []

    async def sleep(number: int) -> None:
        await tress.asyncio.sleep(0.5)
        seen.append(number)

    tasks = []
    for number in range(0, 300, 3):
        loop.call_at(100.5, seen.append, number)
        tasks.append(loop.create_task(sleep(number + 1)))
        turn(loop)
        loop.set_debug(True)
        loop.call_at(100.5, seen.append, number + 2)
        loop.set_debug(False)
    for handle in [loop.call_at(100.5, seen.append, -1) for _ in range(1000)]:
        handle.cancel()
    loop.time = lambda: 101.0
    turn(loop, 2)
    timers = [number for number in seen if number % 3 != 1]
    assert timers == [number for number in range(300) if number % 3 != 1]
    sleepers = [number for number in seen if number % 3 == 1]
    assert sleepers == list(range(1, 300, 3)), "these are resumed one after another"
    loop.close()


def test_each_call_has_a_context_of_its_own(loop: Any) -> None:
    """Of timers that were made one after another with the same values."""
    variable = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    def call() -> None:
        seen.append(variable.get())
        variable.set(variable.get() + 10)

    first, second = loop.call_later(0, call), loop.call_later(0, call)
    asked = loop.call_later(0, call)
    context = asked._context
    assert asked._context is context
    context.run(variable.set, 5)
    token = variable.set(1)
    later = [loop.call_later(0, call) for _ in range(2)]
    variable.reset(token)
    late = loop.call_later(0, call)
    cancelled = loop.call_later(FAR, call)
    cancelled.cancel()
    turn(loop, 2)
    assert seen == [0, 0, 5, 1, 1, 0]
    handles = [first, second, asked, *later, late, cancelled]
    assert [handle._context.get(variable) for handle in handles] == [
        10,
        10,
        15,
        11,
        11,
        10,
        None,
    ]
    assert len({id(handle._context) for handle in handles}) == len(handles)
    assert variable.get() == 0


def test_a_given_context_is_that_of_the_call(loop: Any) -> None:
    context = contextvars.copy_context()
    handles = [loop.call_later(FAR, print, context=context) for _ in range(2)]
    assert [handle._context for handle in handles] == [context] * 2


@pytest.mark.parametrize("end", ["called", "cancelled", "dropped", "closed"])
def test_a_loop_keeps_no_value_of_a_context_longer_than_its_timers(end: str) -> None:
    loop: Any = tress.asyncio.EventLoop()
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")

    def add() -> weakref.ref[Any]:
        thing: Any = Thing()
        variable.set(thing)
        later = 0 if end == "called" else FAR
        handles = [loop.call_later(later, id, 0) for _ in range(3)]
        if end != "dropped":
            thing.handles = handles
        if end in ("cancelled", "dropped"):
            for handle in handles:
                handle.cancel()
        return weakref.ref(thing)

    reference = contextvars.copy_context().run(add)
    turn(loop, 2)
    if end == "closed":
        gc.collect()
        assert reference() is not None
        loop.close()
    gc.collect()
    assert reference() is None
    loop.close()
