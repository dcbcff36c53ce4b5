"""`call_later` and `call_at`."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest

import tress.asyncio
from tests.coroutines.conftest import turn


def test_timers_come_when_they_are_due(loop: Any) -> None:
    made: list[str] = []
    began = loop.time()
    loop.call_later(0.03, made.append, "last")
    loop.call_later(0.01, made.append, "first")
    loop.call_at(began + 0.02, made.append, "second")
    loop.call_later(0.03, loop.stop)
    loop.run_forever()
    assert made == ["first", "second", "last"]
    assert loop.time() - began >= 0.03


def test_times_of_all_kinds(loop: Any) -> None:
    made: list[int] = []
    for delay in (-1, 0, 0.0, False, -1e300):
        loop.call_later(delay, made.append, 1)
    turn(loop)
    turn(loop)
    assert made == [1] * 5
    far = loop.call_later(1e9, pytest.fail)
    assert far.when() > loop.time() + 1e8
    far.cancel()


def test_the_clock_is_the_monotonic_one(loop: Any) -> None:
    before = time.monotonic()
    assert before <= loop.time() <= time.monotonic()


def test_a_clock_of_the_program_s_moves_the_timers(loop: Any) -> None:
    now = 1000.0
    loop.time = lambda: now
    made: list[str] = []
    handle = loop.call_later(5, made.append, "due")
    assert handle.when() == 1005.0
    turn(loop)
    assert made == []
    now = 1006.0
    turn(loop)
    assert made == ["due"]
    del loop.time
    assert loop.time() == pytest.approx(time.monotonic(), abs=60)


def test_a_cancelled_timer_is_not_called_and_lets_go(loop: Any) -> None:
    class Kept:
        pass

    kept = Kept()
    there = weakref.ref(kept)
    handle = loop.call_later(0, lambda _: pytest.fail("called"), kept)
    del kept
    handle.cancel()
    handle.cancel()
    gc.collect()
    assert handle.cancelled()
    assert there() is None
    turn(loop)
    turn(loop)


def test_timers_can_be_compared(loop: Any) -> None:
    early, late = loop.call_at(1e9, print), loop.call_at(2e9, print)
    same = loop.call_at(1e9, print)
    assert early < late
    assert early <= same
    assert late > early
    assert late >= early
    assert early == same
    assert early != late
    assert hash(early) == hash(same)
    assert (early == 1e9) is False
    same.cancel()
    assert early != same
    early.cancel()
    late.cancel()


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
